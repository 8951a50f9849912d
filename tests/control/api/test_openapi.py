"""The document, and what holds for every operation that it lists."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api, running_api
from tests.kit.live import FakeAgents
from tests.kit.things import CREATE, ONLINE, a_thing

from portway.control.api.app import document
from portway.control.api.contract import VERBS
from portway.control.api.openapi import operation_id

PATHS: dict[str, dict[str, Any]] = document()["paths"]
NOUNS = sorted({path.partition("/{")[0].strip("/") for path in PATHS} - {"", "self"})
OPERATIONS = [(verb.upper(), path) for path, item in PATHS.items() for verb in item if verb in VERBS]


def test_every_operation_is_named_after_its_noun_and_verb() -> None:
    names = [PATHS[path][verb.lower()]["operationId"] for verb, path in OPERATIONS]
    assert len(set(names)) == len(names)
    assert {"credentials-create", "api-keys-list", "ssh-credentials-update", "root-self"} <= set(names)
    assert operation_id.__doc__


def test_every_operation_wants_a_key_and_a_version_and_refuses_in_our_envelope() -> None:
    for verb, path in OPERATIONS:
        operation = PATHS[path][verb.lower()]
        assert operation["security"] == [{"API key": []}], (verb, path)
        assert "Ngrok-Version" in {each["name"] for each in operation["parameters"]}, (verb, path)
        assert "422" not in operation["responses"]
        refusal = operation["responses"]["default"]["content"]["application/json"]["schema"]
        assert refusal == {"$ref": "#/components/schemas/Error"}
        assert operation["description"], (verb, path)


def test_statuses_follow_the_verb() -> None:
    for verb, path in OPERATIONS:
        good = {status for status in PATHS[path][verb.lower()]["responses"] if status != "default"}
        if verb == "POST" and "{" not in path:
            assert good == {"201"}, path
        elif verb == "DELETE":
            assert good == {"204"}, path
        elif verb in {"GET", "PATCH"}:
            assert good == {"200"}, (verb, path)


def test_what_is_answered_is_always_there() -> None:
    """Clients fail on a missing key, so no field of an answer is optional."""
    schemas = document()["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith(("Answer", "List")) or name in {"Ref", "Root", "Self"}:
            assert set(schema.get("required", ())) == set(schema.get("properties", ())), name


def test_what_is_given_is_bounded() -> None:
    for name, schema in document()["components"]["schemas"].items():
        if name.endswith(("Create", "Update")):
            assert schema["additionalProperties"] is False, name


def test_every_noun_has_a_thing_to_test_with() -> None:
    assert set(NOUNS) == set(CREATE) | set(ONLINE)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.row("C30")
async def test_what_is_somebody_elses_is_what_never_was(tmp_path: Path, noun: str) -> None:
    """Every verb of every path with an identifier: a foreign one answers as an absent one, byte for byte."""
    templates = [
        (verb, path)
        for verb, path in OPERATIONS
        # routes: tests/…/test_edge_routes.py; sources: tests/…/test_event_subscriptions.py
        if path.startswith(f"/{noun}/{{") and "{edge_id}" not in path and "/sources" not in path
    ]
    assert templates
    async with running_api(tmp_path, agents=FakeAgents()) as owner:
        other = await owner.other_account()
        thing = await a_thing(owner, noun)
        absent = thing[:-6] + "".join("0" if each != "0" else "1" for each in thing[-6:])
        for verb, template in templates:
            for body in _bodies(verb, template):
                foreign = await other.send(verb, template.replace("{id}", thing), body)
                never = await other.send(verb, template.replace("{id}", absent), body)
                own = await owner.send(verb, template.replace("{id}", absent), body)
                assert foreign.without_operation() == never.without_operation(), (verb, template, body)
                assert never.without_operation() == own.without_operation(), (verb, template, body)
                assert foreign.status in {400, 404}, (verb, template, body)
                assert foreign.status == 404 or body == {"surely": "unknown"}, (verb, template, body)
        for path in [path for path in PATHS if path == f"/{noun}"]:
            assert f'"{thing}"' not in (await other.get(path)).body.decode()
        await _still_there(owner, noun, thing)


def _bodies(verb: str, template: str) -> list[object]:
    """Return what is sent: what would do, and what is refused whatever it is sent to."""
    takes = "requestBody" in PATHS[template][verb.lower()]
    if verb == "PATCH":
        return [{"metadata": "changed"}, {"surely": "unknown"}]
    return [{}, {"surely": "unknown"}] if takes else [None]


async def _still_there(owner: Api, noun: str, thing: str) -> None:
    mine = await owner.get(f"/{noun}/{thing}")
    assert mine.status == 200
    assert mine.json.get("metadata") != "changed"
    if noun in CREATE:
        assert (await owner.patch(f"/{noun}/{thing}", {"metadata": "changed"})).status == 200
        assert (await owner.delete(f"/{noun}/{thing}")).status == 204
        assert (await owner.get(f"/{noun}/{thing}")).status == 404
