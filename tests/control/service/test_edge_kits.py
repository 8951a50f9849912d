"""An edge with its address and its backend in one step."""

from pathlib import Path

import pytest
from tests.kit.edge_store import with_account
from tests.kit.names import refused

from portway.control.service import backends, edge_kits, reserved_addrs
from portway.control.store.rows import Page


@pytest.mark.row("T-085", "T-086")
async def test_all_of_it_or_nothing(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        with refused(7104):
            await edge_kits.create(context, account, "tcp", hostports=["nonsense"])
        assert await backends.listed(context, account, "tunnel_group", Page()) == []
        first = (await edge_kits.create(context, account, "tcp")).edge
        second = (await edge_kits.create(context, account, "tcp")).edge
        groups = await backends.listed(context, account, "tunnel_group", Page())
        assert {each.spec["labels"]["edge"] for each in groups} == {first.id, second.id}
        addrs = await reserved_addrs.listed(context, account, Page())
        assert {each.addr for each in addrs} == {*first.hostports, *second.hostports}


async def test_a_backend_that_is_named_is_taken(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        group = await backends.create(context, account, "tunnel_group", {"labels": {"a": "b"}})
        module = {"backend": {"enabled": True, "backend_id": group.id}}
        edge = (await edge_kits.create(context, account, "tcp", modules=module)).edge
        assert edge.modules == module
        assert len(await backends.listed(context, account, "tunnel_group", Page())) == 1
