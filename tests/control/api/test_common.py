"""Routes that nouns have in common: what they declare, and what they do."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.routing import APIRoute
from tests.kit.api import running_api

from portway.control.api.common import Common
from portway.control.api.schema import Answer
from portway.control.service.context import Context
from portway.control.store.rows import Page


class ThingAnswer(Answer):
    """A thing."""

    id: str


class ThingList(Answer):
    """Things."""

    things: list[ThingAnswer]


async def page(_context: Context, _account_id: str, _page: Page) -> list[ThingAnswer]:
    """Return no things."""
    return []


async def one(_context: Context, _account_id: str, row_id: str) -> ThingAnswer:
    """Return a thing."""
    return ThingAnswer(id=row_id)


def test_routes_say_what_they_are() -> None:
    router = APIRouter(prefix="/things", tags=["things"])
    common = Common[ThingAnswer](router, "th", ThingAnswer, lambda _, each: each)
    common.list(ThingList, "things", frozenset(), page, "List the things.")
    common.get(one, "Return a thing.")
    common.delete(one, "Forget a thing.")
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert [
        (route.path, route.methods, route.name, route.status_code, route.response_model, route.description)
        for route in routes
    ] == [
        ("/things", {"GET"}, "list", None, ThingList, "List the things."),
        ("/things/{id}", {"GET"}, "get", None, ThingAnswer, "Return a thing."),
        ("/things/{id}", {"DELETE"}, "delete", 204, None, "Forget a thing."),
    ]


async def test_a_page_one_and_none(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        vault = (await api.post("/vaults", {"name": "a"})).json
        secrets = [
            (await api.post("/vault_secrets", {"name": n, "value": "v", "vault_id": vault["id"]})).json
            for n in "bc"
        ]
        assert (await api.get(f"/vault_secrets/{secrets[0]['id']}")).json == secrets[0]
        found = await api.get(f"/vault_secrets?filter=obj.vault=='{vault['id']}'%26%26obj.name=='c'")
        assert found["secrets"] == [secrets[1]], "a filter sees the facts of a noun"
        assert (await api.delete(f"/vault_secrets/{secrets[0]['id']}")).status == 204
        assert (await api.get(f"/vault_secrets/{secrets[0]['id']}")).status == 404
        assert (await api.get("/vault_secrets"))["secrets"] == [secrets[1]]
        assert (await api.get("/vault_secrets/vault_1")).status in {400, 404}, "another prefix"
