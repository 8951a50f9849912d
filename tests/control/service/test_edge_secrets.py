"""Secrets of routes: sealed in the store, shown to their account, and found by who starts a newer version."""

from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import select, update
from tests.kit.edge_store import with_account
from tests.kit.names import noted, refused

from portway.control.certificates.seal import Seal
from portway.control.service import edge_routes, edge_secrets, edges
from portway.control.service.context import Context
from portway.control.service.edge_routes import Wish
from portway.control.store import changes
from portway.control.store.edge_tables import edge_routes as table
from portway.control.store.rows import Page
from portway.model.edge import EdgeRoute, written

LOGIN = {"issuer": "https://id.example.org", "client_id": "c", "client_secret": "s3cret-1"}
HOOK = {"provider": "github", "secret": "s3cret-2"}
MODULES = {"oidc": LOGIN, "webhook_verification": HOOK}


async def stored(context: Context) -> str:
    """Return what the store holds of the only route."""
    async with context.database.read() as connection:
        return str((await connection.execute(select(table.c.modules))).scalar_one())


async def by_path(context: Context, account: str, edge: str) -> list[EdgeRoute]:
    """Return the routes of an edge."""
    found = (await edges.get(context, account, "https", edge)).routes
    return sorted(found, key=lambda each: each.match)


async def test_the_store_holds_no_secret_and_the_account_sees_its_own(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "https")).id
        wish = Wish(match_type="path_prefix", match="/", modules=MODULES)
        route = await edge_routes.create(context, account, edge, wish)
        assert route.modules == MODULES
        assert "s3cret" not in await stored(context)
        assert '"sealed":' in await stored(context)
        assert await edge_routes.get(context, account, edge, route.id) == route
        assert await edge_routes.module(context, account, edge, route.id, "oidc") == LOGIN
        assert (await edges.get(context, account, "https", edge)).routes == [route]
        ((listed,),) = [each.routes for each in await edges.listed(context, account, "https", Page())]
        assert listed == route
        before = await stored(context)
        texts = Wish(modules={}, description="d")
        changed = await edge_routes.update(context, account, edge, route.id, texts)
        assert changed.modules == MODULES
        assert await stored(context) == before, "what stays is not sealed anew"
        other = {**HOOK, "secret": "s3cret-3"}
        await edge_routes.put_module(context, account, edge, route.id, "webhook_verification", other)
        assert (await edge_routes.module(context, account, edge, route.id, "webhook_verification")) == other
        assert "s3cret" not in await stored(context)
        edged = await edges.update(context, account, "https", edge, description="d")
        assert [each.modules for each in edged.routes] == [{"oidc": LOGIN, "webhook_verification": other}]


async def test_what_an_older_version_has_written_is_read_and_then_sealed(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "https")).id
        headers = {"add": {"secret": "none"}}
        for path, modules in (("/", MODULES), ("/plain", {"request_headers": headers})):
            await edge_routes.create(
                context, account, edge, Wish(match_type="path_prefix", match=path, modules=modules)
            )
        async with context.database.write() as connection:
            old = update(table).where(table.c.path == "/").values(modules=written(MODULES))
            await connection.execute(old)
        first, second = await by_path(context, account, edge)
        assert first.modules == MODULES
        keyless = replace(context, seal=Seal())
        with refused(128):
            await edge_secrets.seal_standing(keyless)
        before = len(await noted(context))
        assert await edge_secrets.seal_standing(context) == 1
        assert (await noted(context))[before:] == [(changes.EDGE_ROUTE, first.id)]
        assert await edge_secrets.seal_standing(context) == 0
        assert await by_path(context, account, edge) == [first, second]
        with refused(128):
            await edge_routes.get(keyless, account, edge, first.id)
        await edge_routes.delete(keyless, account, edge, first.id)
