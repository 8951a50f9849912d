"""From an OpenAPI document to commands."""

import json
from pathlib import Path
from typing import Any

import pytest

from portway import cli
from portway.cli.api_document import SHARED, Field, Operation, read


def _document(paths: dict[str, Any], schemas: dict[str, Any] | None = None) -> str:
    return json.dumps({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas or {}}})


def _one(path: str, method: str, said: dict[str, Any], schemas: dict[str, Any] | None = None) -> Operation:
    (operation,) = read(_document({path: {method: said}}, schemas))
    return operation


def _with_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("get", "/", ("root", "get")),
        ("get", "/self", ("self", "list")),
        ("get", "/reserved_addrs", ("reserved-addrs", "list")),
        ("post", "/reserved_addrs", ("reserved-addrs", "create")),
        ("get", "/reserved_addrs/{id}", ("reserved-addrs", "get")),
        ("patch", "/reserved_addrs/{id}", ("reserved-addrs", "update")),
        ("delete", "/reserved_addrs/{id}", ("reserved-addrs", "delete")),
        ("delete", "/reserved_domains/{id}/certificate", ("reserved-domains", "delete-certificate")),
        ("post", "/tunnel_sessions/{id}/stop", ("tunnel-sessions", "stop")),
    ],
)
def test_paths_name_commands(method: str, path: str, expected: tuple[str, str]) -> None:
    operation = _one(path, method, {})
    assert (operation.resource, operation.verb) == expected
    assert operation.place == (("id",) if "{id}" in path else ())
    assert operation.method == method.upper()


def test_every_kind_of_field_is_told_apart() -> None:
    schema = {"$ref": "#/components/schemas/Given"}
    schemas = {
        "Given": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "What it is called."},
                "port": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "share": {"type": "number"},
                "pooling_enabled": {"type": "boolean"},
                "acl": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
                "labels": {"type": "object"},
                "policy": {"anyOf": [{"$ref": "#/components/schemas/Policy"}, {"type": "null"}]},
            },
        },
        "Policy": {"type": "object", "properties": {"authority": {"type": "string"}}},
    }
    operation = _one("/things", "post", _with_body(schema), schemas)
    assert operation.has_body
    assert operation.body == (
        Field("name", "text", required=True, help="What it is called."),
        Field("port", "integer"),
        Field("share", "number"),
        Field("pooling_enabled", "boolean"),
        Field("acl", "list"),
        Field("labels", "object"),
        Field("policy.authority", "text"),
    )
    assert operation.body[3].flag == "--pooling-enabled"
    assert operation.body[6].flag == "--policy.authority"


def test_a_list_is_paged_and_headers_are_no_flags() -> None:
    parameters = [
        {"name": "limit", "in": "query", "schema": {"type": "integer"}},
        {"name": "before_id", "in": "query", "schema": {"type": "string"}},
        {"name": "Ngrok-Version", "in": "header", "schema": {"type": "string"}},
    ]
    operation = _one("/things", "get", {"parameters": parameters, "summary": "List things.\nAll of them."})
    assert operation.query == (Field("limit", "integer"), Field("before_id", "text"))
    assert operation.paged
    assert operation.summary == "List things."
    assert not operation.has_body
    assert not _one("/things/{id}", "get", {}).paged


@pytest.mark.parametrize("text", ["[]", '{"paths": []}', "nonsense"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"OpenAPI|Expecting"):
        read(text)


def test_resources_that_share_a_first_part_are_told_apart() -> None:
    from portway.control.api.app import document

    operations = [each for each in read(json.dumps(document())) if each.path.split("/")[1] in SHARED]
    found = {f"{each.resource} {each.verb}": each.place for each in operations}
    assert found["edges-tcp list"] == found["backends-static create"] == ()
    assert found["edges-tcp get"] == found["edge-modules tcp-edge-backend-replace"] == ("id",)
    assert found["edges-https-routes update"] == ("edge_id", "id")
    assert len(found) == len(operations)


def test_every_operation_of_the_service_has_a_command_of_its_own() -> None:
    operations = read((Path(cli.__file__).parent / "openapi.json").read_text())
    named = [f"{each.resource} {each.verb}" for each in operations]
    assert sorted(set(named)) == sorted(named)
    found = dict(zip(named, operations, strict=True))
    assert found["event-sources list"].place == found["event-sources create"].place == ("id",)
    assert found["event-sources get"].place == ("id", "type")
