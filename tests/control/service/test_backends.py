"""Backends as use cases."""

from pathlib import Path

import pytest
from tests.kit.edge_store import with_account
from tests.kit.live import live_endpoint, tell
from tests.kit.names import noted, refused

from portway.control.service import backends, edges
from portway.errors import NotFound


async def test_each_change_is_noted_and_the_kind_must_be_right(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        made = await backends.create(context, account, "static", {"address": "a.b:1"})
        await backends.update(context, account, "static", made.id, {}, description="d")
        with pytest.raises(NotFound):
            await backends.get(context, account, "failover", made.id)
        await backends.delete(context, account, "static", made.id)
        assert (await noted(context))[-3:] == [("backend", made.id)] * 3


async def test_tunnels_of_a_group_have_all_its_labels(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        group = await backends.create(context, account, "tunnel_group", {"labels": {"a": "1", "b": "2"}})
        none = await backends.create(context, account, "tunnel_group", {})
        for number, labels in enumerate(((("a", "1"),), (("b", "2"), ("a", "1")), ()), 1):
            tell(context, live_endpoint(account, number, url="", labels=labels))
        assert len(await backends.tunnels_of(context, group)) == 1
        assert await backends.tunnels_of(context, none) == []


async def test_what_an_edge_may_name(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        answer = await backends.create(context, account, "http_response", {})
        async with context.database.read() as connection:
            await backends.check_used(connection, account, answer.id)
            for backend, http, code in (("x", True, 6526), ("bkdsc_1", True, 6501), (answer.id, False, 6527)):
                with refused(code):
                    await backends.check_used(connection, account, backend, http=http)


async def test_nothing_behind_an_edge_without_http_answers_over_http(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        answer = await backends.create(context, account, "http_response", {})
        group = await backends.create(context, account, "tunnel_group", {})
        failover = await backends.create(context, account, "failover", {"backends": [group.id, answer.id]})
        weighted = await backends.create(context, account, "weighted", {"backends": {failover.id: 1}})
        module = {"backend": {"backend_id": weighted.id}}
        await edges.create(context, account, "https")
        for kind in ("tcp", "tls"):
            with refused(6527):
                await edges.create(context, account, kind, modules=module)
        await backends.update(context, account, "failover", failover.id, {"backends": [group.id]})
        edge = await edges.create(context, account, "tcp", modules=module)
        for kind, each, spec in (
            ("failover", failover.id, {"backends": [answer.id]}),
            ("weighted", weighted.id, {"backends": {answer.id: 0}}),
        ):
            with refused(6527):
                await backends.update(context, account, kind, each, spec)
        await edges.delete(context, account, "tcp", edge.id)
        await backends.update(context, account, "failover", failover.id, {"backends": [answer.id]})
