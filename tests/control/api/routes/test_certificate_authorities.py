"""/certificate_authorities over HTTP."""

from pathlib import Path

from tests.kit.store import Clock
from tests.kit.tenants import is_private, two_apis
from tests.kit.x509 import make

PLACE = "/certificate_authorities"
ROOT = make("root", ca=True)


async def test_from_beginning_to_end(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, _):
        made = await ann.send("POST", PLACE, {"ca_pem": ROOT.pem, "description": "d", "metadata": ""})
        assert made.status == 201
        ca = made.json
        assert ca == {
            "id": ca["id"], "uri": f"{ann.context.settings.api_url}{PLACE}/{ca['id']}",
            "created_at": "2027-01-15T08:00:00Z", "description": "d", "metadata": "", "ca_pem": ROOT.pem,
            "subject_common_name": "root", "not_before": "2026-01-02T03:04:05Z",
            "not_after": "2036-01-02T03:04:05Z", "key_usages": [], "extended_key_usages": [],
        }  # fmt: skip
        place = f"{PLACE}/{ca['id']}"
        assert (await ann.send("GET", place)).json == ca
        assert (await ann.send("GET", PLACE)).json["certificate_authorities"] == [ca]
        changed = await ann.send("PATCH", place, {"metadata": "n"})
        assert (changed.status, changed.json) == (200, ca | {"metadata": "n"})
        assert (await ann.send("PATCH", place, {})).json == changed.json
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.send("DELETE", place)).status == 404


async def test_refusals_have_their_codes(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        for body, code in (
            ({}, 1919), ({"ca_pem": "hello"}, 1920), ({"ca_pem": ROOT.pem * 2}, 1912),
            ({"ca_pem": make(number=1).pem}, 1913), ({"ca_pem": ROOT.key_pem}, 1925),
            ({"ca_pem": ROOT.pem, "description": "x" * 256}, 1914),
            ({"ca_pem": ROOT.pem, "metadata": "x" * 4097}, 1915), ({"ca_pem": 5}, 215),
        ):  # fmt: skip
            reply = await ann.send("POST", PLACE, body)
            assert (reply.status, reply.code) == (400, code), body


async def test_an_authority_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        made = (await ann.send("POST", PLACE, {"ca_pem": ROOT.pem})).json
        await is_private(ann, ben, f"{PLACE}/{made['id']}", update={"description": "mine"})


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, _):
        made = (await ann.send("POST", PLACE, {"ca_pem": ROOT.pem})).json
        for text, found in (
            ('obj.subject_common_name=="root"', [made]),
            ('obj.not_after>timestamp("2030-01-01T00:00:00Z")', [made]),
            ('obj.not_before>timestamp("2030-01-01T00:00:00Z")', []),
        ):
            listed = (await ann.send("GET", f"{PLACE}?filter={text}")).json
            assert listed["certificate_authorities"] == found, text
