"""The bell."""

import asyncio
from pathlib import Path

from tests.kit.store import opened

from portway.control.feed import Feed
from portway.control.service import accounts, credentials

LONG = 60.0


async def test_a_ring_before_the_wait_counts_once() -> None:
    feed = Feed()
    feed.changed()
    feed.changed()
    await feed.wait(LONG)
    waiting = asyncio.ensure_future(feed.wait(LONG))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed.changed()
    await waiting


async def test_without_a_ring_the_wait_ends_by_itself() -> None:
    await Feed().wait(0.01)


async def test_a_committed_write_that_notes_a_change_rings(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        await context.feed.wait(0)
        issued = await credentials.add(context)
        await credentials.revoke(context, issued.value.id)
        async with asyncio.timeout(10):
            await context.feed.wait(LONG)
