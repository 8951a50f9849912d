"""/credentials over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import BASE, running_api
from tests.kit.store import Clock, everything

PLACE = "/credentials"
GIVEN: dict[str, object] = {"description": "", "metadata": "", "acl": []}
"""What ngrok's client sends of a credential when it is told nothing."""


@pytest.mark.row("C1", "C9")
async def test_a_credential_from_beginning_to_end(tmp_path: Path) -> None:
    async with running_api(tmp_path, clock=Clock()) as api:
        made = await api.post(PLACE, GIVEN | {"acl": ["bind:*.example.com"], "description": "d"})
        assert made.status == 201
        place = f"{PLACE}/{made['id']}"
        assert made.json == {
            "id": made["id"],
            "uri": f"{BASE}{place}",
            "created_at": "2027-01-15T08:00:00Z",
            "description": "d",
            "metadata": "",
            "token": made["token"],
            "acl": ["bind:*.example.com"],
            "owner_id": None,
        }
        shown = made.json | {"token": None}
        assert (await api.get(place)).json == shown
        assert (await api.get(PLACE))["credentials"] == [shown]
        changed = await api.patch(place, {"metadata": "m"})
        assert (changed.status, changed.json) == (200, shown | {"metadata": "m"})
        cleared = await api.patch(place, {"description": "", "acl": []})
        assert cleared.json == shown | {"metadata": "m", "description": "", "acl": []}
        assert (await api.delete(place)).status == 204
        assert (await api.get(place)).status == 404
        assert (await api.get(PLACE))["credentials"] == []


@pytest.mark.row("C10")
async def test_a_token_is_shown_once_and_kept_nowhere(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post(PLACE, {})
        secret = str(made["token"]).partition("_")[2].encode()
        for path in (PLACE, f"{PLACE}/{made['id']}"):
            assert secret not in (await api.get(path)).body
        assert secret not in (await api.patch(f"{PLACE}/{made['id']}", {"metadata": "m"})).body
        kept = everything(tmp_path)
    assert made["id"].encode() in kept
    assert secret not in kept


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"acl": ["connect:*"]}, 600),
        ({"acl": ["*"] * 101}, 600),
        ({"description": "é" * 128}, 604),
        ({"metadata": "x" * 4097}, 605),
        ({"owner_id": "usr_somebody"}, 634),
        ({"token": "mine"}, 214),
        ({"precomputed_token": "mine"}, 214),
    ],
)
async def test_what_is_refused(tmp_path: Path, given: dict[str, object], code: int) -> None:
    async with running_api(tmp_path) as api:
        assert (await api.post(PLACE, given)).code == code
        if "owner_id" not in given:
            made = await api.post(PLACE, {})
            assert (await api.patch(f"{PLACE}/{made['id']}", given)).code == code


@pytest.mark.row("C21")
async def test_an_update_of_nothing(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post(PLACE, {})
        for nothing in ({}, {"description": None}):
            assert (await api.patch(f"{PLACE}/{made['id']}", nothing)).code == 606


@pytest.mark.row("C13")
async def test_filters(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        made = await api.post(PLACE, {"acl": ["bind:a.b"], "description": "x"})
        await api.post(PLACE, {"metadata": "m"})
        for text in (
            'obj.description == "x"',
            'obj.metadata == ""',
            '"bind:a.b" in obj.acl',
            f'obj.id == "{made["id"]}"',
            'obj.created_at > timestamp("2020-01-01T00:00:00Z") && size(obj.acl) == 1',
            'obj.owner_id == null && obj.description != ""',
        ):
            found = await api.get(f"{PLACE}?filter={text.replace('&', '%26').replace(' ', '%20')}")
            assert [each["id"] for each in found["credentials"]] == [made["id"]], text
