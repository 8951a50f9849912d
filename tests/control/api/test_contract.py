"""Operations are found by their path."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from portway.control.api.app import ROUTES, document
from portway.control.api.contract import VERBS, Contract, Operation


class Given(BaseModel):
    """A body."""


async def shared(limit: int = 1, id: Annotated[list[str], Query()] = []) -> int:  # noqa: A002, B006 - FastAPI copies it
    return limit + len(id)


async def plain() -> None:
    return None


async def parts(thing_id: str, id: str) -> str:  # noqa: A002 - the name in the path
    return thing_id + id


async def listed(shared: Annotated[int, Depends(shared)]) -> int:
    return shared


async def made(given: Given) -> Given:
    return given


def a_contract() -> Contract:
    router = APIRouter(tags=["things"])
    router.add_api_route("/things", made, methods=["POST"], name="create")
    router.add_api_route("/things", listed, methods=["GET"], name="list")
    router.add_api_route("/things/{id}", plain, methods=["DELETE"], name="delete")
    router.add_api_route("/things/{thing_id}/parts/{id}", parts, methods=["GET"], name="parts")
    router.add_api_route("/things/special", plain, methods=["GET"], name="special")
    router.add_api_route("/hidden", plain, methods=["GET"], include_in_schema=False)
    return Contract([*router.routes, "no route"])


def test_what_a_path_takes() -> None:
    contract = a_contract()
    verbs = contract.find("/things")
    assert verbs == {
        "GET": Operation("things-list", {"limit": False, "id": True}, takes_body=False),
        "POST": Operation("things-create", {}, takes_body=True),
    }
    assert list(verbs or ()) == ["GET", "POST"]  # as Allow tells them, however they were written
    assert contract.find("/things/x-1.") == {"DELETE": Operation("things-delete", {}, takes_body=False)}
    assert contract.find("/things/special") == {"GET": Operation("things-special", {}, takes_body=False)}
    assert contract.find("/things/a/parts/b") == {"GET": Operation("things-parts", {}, takes_body=False)}


def test_what_is_no_path() -> None:
    contract = a_contract()
    for path in (
        "",
        "/",
        "/hidden",
        "/thing",
        "/things/",
        "/things/a/",
        "/things/a/parts",
        "/things/a/b",
        "/things/{id}/x",
    ):
        assert contract.find(path) is None, path


def test_requests_are_held_to_what_the_document_says() -> None:
    contract = Contract(route for router in ROUTES for route in router.routes)
    documented = document()["paths"]
    for path, item in documented.items():
        expected = {verb.upper(): _documented(item[verb]) for verb in VERBS if verb in item}
        assert contract.find(path) == expected, path
    assert len(documented) > 80


def _documented(operation: dict[str, Any]) -> Operation:
    query = {
        each["name"]: each["schema"].get("type") == "array"
        for each in operation.get("parameters", ())
        if each["in"] == "query"
    }
    return Operation(operation["operationId"], query, "requestBody" in operation)
