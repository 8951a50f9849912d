"""The tables of edges: an address belongs to one edge, a path to one route."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from tests.kit.edge_store import with_account

from portway.control.store.edge_tables import edge_endpoints, edge_routes, edges


async def test_what_is_unique(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        common: dict[str, Any] = {"account_id": account, "created_at": 1.0}
        texts = {"description": "", "metadata": ""}
        edge = common | texts | {"id": "edghts_1", "kind": "https", "modules": "{}"}
        place = {
            "edge_id": "edghts_1",
            "position": 0,
            "hostport": "a:443",
            "url": "https://a",
            "place": "tls a",
        }
        route = {"edge_id": "edghts_1", "match_type": "exact_path", "path": "/a", "modules": "{}"}
        async with context.database.write() as connection:
            await connection.execute(insert(edges).values(edge))
            await connection.execute(insert(edge_endpoints).values(common | place | {"id": "ep_1"}))
            await connection.execute(
                insert(edge_routes).values(common | texts | route | {"id": "edghtsrt_1"})
            )
        for table, row in (
            (edge_endpoints, common | place | {"id": "ep_2", "url": "tls://a"}),
            (edge_routes, common | texts | route | {"id": "edghtsrt_2", "match_type": "path_prefix"}),
        ):
            with pytest.raises(IntegrityError):
                async with context.database.write() as connection:
                    await connection.execute(insert(table).values(row))
