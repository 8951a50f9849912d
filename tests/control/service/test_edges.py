"""Edges as use cases: what each change tells the data plane."""

from pathlib import Path

from tests.kit.edge_store import address, with_account
from tests.kit.names import noted, refused

from portway.control.service import edges
from portway.control.store.rows import Page
from portway.errors import NotFound


async def test_what_changes_is_noted_and_what_is_kept_is_not(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        one, two = await address(context, account), await address(context, account)
        edge = (await edges.create(context, account, "tcp", hostports=[one])).edge
        before = await noted(context)
        assert [kind for kind, _ in before[-2:]] == ["edge", "edge_endpoint"]
        await edges.update(context, account, "tcp", edge.id, hostports=[one, two])
        told = (await noted(context))[len(before) :]
        assert [kind for kind, _ in told] == ["edge", "edge_endpoint"]
        before = await noted(context)
        await edges.delete(context, account, "tcp", edge.id)
        told = (await noted(context))[len(before) :]
        assert [kind for kind, _ in told] == ["edge_endpoint", "edge_endpoint", "edge"]


async def test_modules_are_kept_one_by_one(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "tls", modules={"mutual_tls": None})).edge
        assert edge.modules == {}
        ended = {"enabled": True, "terminate_at": "edge"}
        await edges.put_module(context, account, "tls", edge.id, "tls_termination", ended)
        assert await edges.module(context, account, "tls", edge.id, "tls_termination") == ended
        await edges.delete_module(context, account, "tls", edge.id, "tls_termination")
        for call in (
            edges.module(context, account, "tls", edge.id, "tls_termination"),
            edges.delete_module(context, account, "tls", edge.id, "tls_termination"),
            edges.get(context, account, "tcp", edge.id),
        ):
            try:
                await call
            except NotFound:
                continue
            raise AssertionError("it is there")


async def test_a_refused_change_changes_nothing(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        edge = (await edges.create(context, account, "tcp", description="d")).edge
        with refused(7120):
            await edges.update(context, account, "tcp", edge.id, description="new", hostports=["x.y:1"])
        assert (await edges.get(context, account, "tcp", edge.id)).edge.description == "d"


async def test_pages_hold_one_kind(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        made = [(await edges.create(context, account, kind)).id for kind in ("tcp", "tls", "tcp", "tcp")]
        listed = await edges.listed(context, account, "tcp", Page(2))
        assert {each.edge.kind for each in listed} == {"tcp"}
        assert len(listed) == 3, "one beyond the page"
        assert made[1] not in {each.id for each in listed}
