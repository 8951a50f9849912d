"""Operations are found by their path."""

from typing import Any

from portway.control.api.contract import Contract, Operation

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/things": {
            "get": {
                "operationId": "things-list",
                "parameters": [
                    {"in": "query", "name": "limit", "schema": {"type": "integer"}},
                    {"in": "query", "name": "id", "schema": {"type": "array"}},
                    {"in": "header", "name": "Ngrok-Version", "schema": {}},
                ],
            },
            "post": {"operationId": "things-create", "requestBody": {}},
        },
        "/things/{id}": {"delete": {"operationId": "things-delete"}, "summary": "not a verb"},
        "/things/{thing_id}/parts/{id}": {"get": {"operationId": "parts-get"}},
        "/things/special": {"get": {"operationId": "special"}},
    }
}


def test_what_a_path_takes() -> None:
    contract = Contract(DOCUMENT)
    assert contract.find("/things") == {
        "GET": Operation("things-list", {"limit": False, "id": True}, takes_body=False),
        "POST": Operation("things-create", {}, takes_body=True),
    }
    assert contract.find("/things/x-1.") == {"DELETE": Operation("things-delete", {}, takes_body=False)}
    assert contract.find("/things/special") == {"GET": Operation("special", {}, takes_body=False)}
    assert contract.find("/things/a/parts/b") == {"GET": Operation("parts-get", {}, takes_body=False)}


def test_what_is_no_path() -> None:
    contract = Contract(DOCUMENT)
    for path in (
        "",
        "/",
        "/thing",
        "/things/",
        "/things/a/",
        "/things/a/parts",
        "/things/a/b",
        "/things/{id}/x",
    ):
        assert contract.find(path) is None, path
