"""/reserved_addrs over HTTP."""

from pathlib import Path

import pytest
from tests.kit.names import DOMAIN
from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis

PLACE = "/reserved_addrs"


@pytest.mark.row("T-072", "T-039")
async def test_from_beginning_to_end(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, _):
        made = await ann.send("POST", PLACE, {"region": "", "description": "d", "metadata": "m"})
        assert made.status == 201
        addr = made.json
        host, _, port = addr["addr"].rpartition(":")
        assert host == f"1.tcp.{DOMAIN}"
        assert int(port) in ann.context.settings.tcp_ports
        assert addr == {
            "id": addr["id"], "uri": f"{ann.context.settings.api_url}{PLACE}/{addr['id']}",
            "created_at": "2027-01-15T08:00:00Z", "description": "d", "metadata": "m", "addr": addr["addr"],
            "region": "local", "endpoint_configuration": None,
        }  # fmt: skip
        place = f"{PLACE}/{addr['id']}"
        assert (await ann.send("GET", place)).json == addr
        listed = await ann.send("GET", PLACE)
        assert listed.json == {
            "reserved_addrs": [addr], "uri": f"{ann.context.settings.api_url}{PLACE}", "next_page_uri": None,
        }  # fmt: skip
        changed = await ann.send("PATCH", place, {"description": ""})
        assert (changed.status, changed.json) == (200, addr | {"description": ""})
        assert (await ann.send("PATCH", place, {})).code == 506
        assert (await ann.send("PATCH", place, {"metadata": "x" * 4097})).code == 505
        gone = await ann.send("DELETE", place)
        assert (gone.status, gone.body) == (204, b"")
        for verb in ("GET", "DELETE"):
            assert (await ann.send(verb, place)).status == 404


@pytest.mark.row("T-073", "T-076")
async def test_host_and_port_cannot_be_chosen(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        made = (await ann.send("POST", PLACE, {})).json
        for field in ("addr", "host", "port", "hostname"):
            wish = {field: "1.tcp.portway.example:20005"}
            assert (await ann.send("POST", PLACE, wish)).code == 214
            assert (await ann.send("PATCH", f"{PLACE}/{made['id']}", wish)).code == 214
        assert (await ann.send("GET", PLACE))["reserved_addrs"] == [made]


@pytest.mark.row("T-074")
async def test_a_deleted_address_does_not_come_back(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        first = (await ann.send("POST", PLACE, {})).json
        await ann.send("DELETE", f"{PLACE}/{first['id']}")
        # As many as there are others.
        for api in (ann, ben) * 4:
            made = await api.send("POST", PLACE, {})
            assert made.status == 201
            assert made.json["addr"] != first["addr"]


async def test_refusals_have_their_codes(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        for body, code in (
            ({"region": "eu"}, 500), ({"description": "x" * 256}, 504), ({"metadata": "é" * 2049}, 505),
            ({"description": 5}, 215), ({"color": "red"}, 214), ("text", 213),
        ):  # fmt: skip
            reply = await ann.send("POST", PLACE, body)
            assert (reply.status, reply.code) == (400, code), body
        assert (await ann.send("GET", f"{PLACE}/rd_x")).code == 227


async def test_an_address_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = (await ann.send("POST", PLACE, {})).json
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        made = [(await ann.send("POST", PLACE, {"metadata": str(each)})).json for each in range(3)]
        for text in (f'obj.addr=="{made[1]["addr"]}"', 'obj.region=="local"%26%26obj.metadata=="1"'):
            listed = (await ann.send("GET", f"{PLACE}?filter={text}")).json["reserved_addrs"]
            assert listed == [made[1]], text
        assert (await ann.send("GET", f'{PLACE}?filter=obj.port=="1"')).code == 250
