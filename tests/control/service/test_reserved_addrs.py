"""Reserved TCP addresses through their whole life."""

import asyncio
import re
from pathlib import Path

import pytest
from tests.kit.names import DOMAIN, PORTS, configured, noted, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import reservations, reserved_addrs
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import NotFound


@pytest.mark.row("T-072", "T-039")
async def test_an_address_is_a_host_and_a_port(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        addr = await reserved_addrs.create(context, account.id, region="local", description="d", metadata="m")
        assert re.fullmatch(rf"1\.tcp\.{re.escape(DOMAIN)}:200\d\d", addr.addr)
        assert re.fullmatch("ra_[0-9A-Za-z]{27}", addr.id)
        assert (addr.region, addr.description, addr.metadata) == ("local", "d", "m")
        assert addr.created_at == clock.now
        assert await reserved_addrs.get(context, account.id, addr.id) == addr
        assert await noted(context) == [(changes.RESERVED_ADDR, addr.id)]


async def test_other_regions_and_long_texts_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        with refused(500):
            await reserved_addrs.create(context, account.id, region="eu")
        with refused(504):
            await reserved_addrs.create(context, account.id, description="x" * 256)
        with refused(505):
            await reserved_addrs.create(context, account.id, metadata="x" * 4097)
        assert await noted(context) == []


@pytest.mark.row("T-073", "C16")
async def test_only_texts_change(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        addr = await reserved_addrs.create(context, account.id, description="d", metadata="m")
        changed = await reserved_addrs.update(context, account.id, addr.id, description="new")
        assert (changed.description, changed.metadata, changed.addr) == ("new", "m", addr.addr)
        cleared = await reserved_addrs.update(context, account.id, addr.id, metadata="")
        assert (cleared.description, cleared.metadata) == ("new", "")
        with refused(506):
            await reserved_addrs.update(context, account.id, addr.id)
        with refused(504):
            await reserved_addrs.update(context, account.id, addr.id, description="x" * 256)
        with refused(505):
            await reserved_addrs.update(context, account.id, addr.id, metadata="x" * 4097)
        assert await reserved_addrs.get(context, account.id, addr.id) == cleared


@pytest.mark.row("T-074", "C16")
async def test_an_address_that_was_given_back_is_not_given_out_while_another_is_free(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        first = await reserved_addrs.create(context, account.id)
        await reserved_addrs.delete(context, account.id, first.id)
        with pytest.raises(NotFound):
            await reserved_addrs.get(context, account.id, first.id)
        clock.now += 1
        second = await reserved_addrs.create(context, account.id)
        await reserved_addrs.delete(context, account.id, second.id)
        later = [await reserved_addrs.create(context, other.id) for _ in range(len(PORTS) - 2)]
        assert not {first.port, second.port} & {each.port for each in later}
        assert len({each.port for each in later}) == len(later)
        # Now there are no others: the one that was given back longest ago comes first.
        assert (await reserved_addrs.create(context, account.id)).port == first.port
        assert (await reserved_addrs.create(context, account.id)).port == second.port
        with refused(503):
            await reserved_addrs.create(context, account.id)


async def test_a_port_at_which_somebody_is_online_is_not_given_out(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        host = context.settings.tcp_host
        for port in PORTS[1:]:
            await reservations.reserve(context, f"tcp://{host}:{port}", other.id, "s")
        await reservations.hold(context, f"tcp://{host}:{PORTS[1]}", clock.now + 60)
        await reservations.reserve(context, f"tcp://elsewhere:{PORTS[0]}", other.id, "s")
        assert (await reserved_addrs.create(context, account.id)).port == PORTS[0]
        with refused(503):
            await reserved_addrs.create(context, account.id)
        clock.now += 61
        assert (await reserved_addrs.create(context, account.id)).port == PORTS[1]


async def test_an_address_of_somebody_else_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        addr = await reserved_addrs.create(context, account.id)
        told = set[str]()
        for owner, addr_id in ((other.id, addr.id), (account.id, "ra_x"), ("ac_x", addr.id)):
            for attempt in (
                reserved_addrs.get(context, owner, addr_id),
                reserved_addrs.update(context, owner, addr_id, description="mine"),
                reserved_addrs.delete(context, owner, addr_id),
            ):
                with pytest.raises(NotFound) as caught:
                    await attempt
                told.add(str(caught.value))
        assert len(told) == 1
        assert await reserved_addrs.listed(context, other.id, Page()) == []
        assert await reserved_addrs.listed(context, account.id, Page()) == [addr]


async def test_pages_are_newest_first(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = list[str]()
        for _ in range(5):
            made.append((await reserved_addrs.create(context, account.id)).id)
            clock.now += 1
        page = await reserved_addrs.listed(context, account.id, Page(limit=2))
        assert [each.id for each in page] == [made[4], made[3], made[2]], "one beyond the page"
        page = await reserved_addrs.listed(context, account.id, Page(limit=2, before_id=made[3]))
        assert [each.id for each in page] == [made[2], made[1], made[0]]


async def test_many_at_once_get_different_ports(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        owners = [account.id, other.id] * 5
        made = await asyncio.gather(*(reserved_addrs.create(context, owner) for owner in owners))
        assert sorted(each.port for each in made) == list(PORTS)
