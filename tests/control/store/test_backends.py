"""Queries on backends."""

from pathlib import Path

from tests.kit.edge_store import with_account

from portway.control.service import backends as service
from portway.control.service import edges
from portway.control.store import backends


async def test_what_names_a_backend_is_found(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        group = await service.create(context, account, "tunnel_group", {"labels": {"a": "b"}})
        spare = await service.create(context, account, "tunnel_group", {"labels": {"a": group.id[:20]}})
        module = {"backend": {"enabled": True, "backend_id": group.id}}
        async with context.database.read() as connection:
            assert not await backends.is_used(connection, account, group.id)
            assert await backends.kinds(connection, account, [group.id, "x"]) == {group.id: "tunnel_group"}
            found = await backends.groups(connection, account)
            assert {each.id for each in found} == {group.id, spare.id}
        await edges.create(context, account, "tcp", modules=module)
        async with context.database.read() as connection:
            assert await backends.is_used(connection, account, group.id)
            assert not await backends.is_used(connection, account, spare.id)
            assert not await backends.is_used(connection, "ac_other", group.id)
