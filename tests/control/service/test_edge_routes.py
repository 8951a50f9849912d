"""Routes of https edges as use cases."""

from pathlib import Path

from tests.kit.edge_store import with_account
from tests.kit.names import refused

from portway.control.service import edge_routes, edges
from portway.control.service.edge_routes import Wish
from portway.model.edge import ROUTES

OIDC = {"issuer": "https://id.example.org", "client_id": "c", "client_secret": "s", "enabled": True}


async def test_only_one_route_of_an_edge_signs_visitors_in(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "https")).id
        login = {"oidc": {**OIDC, "enabled": False}}
        await edge_routes.create(
            context, account, edge, Wish(match_type="path_prefix", match="/", modules=login)
        )
        wish = Wish(match_type="path_prefix", match="/a", modules=login)
        with refused(7155):
            await edge_routes.create(context, account, edge, wish)
        other = (await edges.create(context, account, "https")).id
        await edge_routes.create(context, account, other, wish)


async def test_an_edge_has_so_many_routes_at_most(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "https")).id
        async with context.database.write() as connection:
            for number in range(ROUTES):
                wish = Wish(match_type="exact_path", match=f"/{number}", modules={})
                await edge_routes.add(context, connection, account, edge, wish)
        with refused(7128):
            await edge_routes.create(
                context, account, edge, Wish(match_type="exact_path", match="/more", modules={})
            )
