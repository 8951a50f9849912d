"""/event_destinations."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.kit.api import running_api
from tests.kit.events import TARGETS
from tests.kit.tenants import is_private, two_apis

from portway.control.store.event_tables import event_destinations
from portway.model.event_target import MASK


@pytest.mark.row("EV-11")
async def test_a_destination_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post(
            "/event_destinations",
            {
                "format": "JSON",
                "target": {"webhook": TARGETS["webhook"]},
                "description": "d",
                "metadata": "m",
            },
        )
        assert made.status == 201, made.json
        assert made["id"].startswith("ed_")
        assert (made["format"], made["description"], made["metadata"]) == ("json", "d", "m")
        webhook = made["target"]["webhook"]
        assert (webhook["secret"], webhook["headers"]) == (MASK, {"Authorization": MASK})
        assert made["target"]["datadog"] is None
        assert made["delivery"] == {
            "status": "idle", "delivered": 0, "failed": 0, "dropped": 0, "waiting": 0, "last_error": "",
        }  # fmt: skip
        path = f"/event_destinations/{made['id']}"
        assert (await api.get(path)).json == made.json
        assert (await api.get("/event_destinations"))["event_destinations"] == [made.json]
        changed = await api.patch(path, {"target": {"webhook": webhook | {"batch_size": 5}}})
        assert changed["target"]["webhook"] == webhook | {"batch_size": 5}
        assert (await api.patch(path, {})).json == changed.json
        assert (await api.patch(path, {"durable": True}))["durable"] is True
        assert (await api.patch(path, {"description": "e"}))["durable"] is True, "what is not said stays"
        assert (made["durable"], (await api.patch(path, {"durable": False}))["durable"]) == (False, False)
        async with api.context.database.read() as connection:
            row = (await connection.execute(select(event_destinations))).one()
        assert "hush" not in str(row)
        assert b"hush" in api.context.seal.open(row.sealed, made["id"])
        assert (await api.delete(path)).status == 204
        assert (await api.delete(path)).status == 404


@pytest.mark.row("EV-11")
@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, 5100),
        ({"target": {"kinesis": None}}, 5100),
        ({"target": {"stdout": {}, "debug": {}}}, 5115),
        ({"format": "xml", "target": {"stdout": {}}}, 235),
        ({"target": {"file": {"path": "../x"}}}, 236),
        ({"target": {"stdout": {}}, "description": "x" * 256}, 5101),
        ({"target": {"stdout": {}}, "metadata": "x" * 4097}, 5102),
        ({"target": {"kafka": {}}}, 214),
        ({"target": {"webhook": {"url": 7}}}, 215),
    ],
)
async def test_refusals(tmp_path: Path, given: dict[str, Any], code: int) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.post("/event_destinations", given)).code == code


@pytest.mark.row("EV-11")
async def test_a_destination_stays_while_it_is_used(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        to = (await api.post("/event_destinations", {"target": {"stdout": {}}}))["id"]
        by = (await api.post("/event_subscriptions", {"destination_ids": [to]}))["id"]
        assert (await api.delete(f"/event_destinations/{to}")).code == 5112
        await api.patch(f"/event_subscriptions/{by}", {"destination_ids": []})
        assert (await api.delete(f"/event_destinations/{to}")).status == 204


async def test_clouds_of_others_are_shown_as_undeliverable(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post("/event_destinations", {"target": {"firehose": TARGETS["firehose"]}})
        creds = made["target"]["firehose"]["auth"]["creds"]
        assert creds == {"aws_access_key_id": "AK", "aws_secret_access_key": MASK}
        assert made["delivery"]["status"] == "undeliverable"
        assert "firehose" in made["delivery"]["last_error"]


async def test_without_a_sender_a_test_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        to = (await api.post("/event_destinations", {"target": {"stdout": {}}}))["id"]
        assert (await api.post(f"/event_destinations/{to}/test")).code == 5132


async def test_a_destination_is_its_accounts_alone(tmp_path: Path) -> None:
    async with two_apis(tmp_path) as (ann, ben):
        to = (await ann.post("/event_destinations", {"target": {"stdout": {}}}))["id"]
        await is_private(ann, ben, f"/event_destinations/{to}", update={"description": "x"})
        assert (await ben.post("/event_subscriptions", {"destination_ids": [to]})).code == 5103
        assert (await ben.post(f"/event_destinations/{to}/test")).status == 404
