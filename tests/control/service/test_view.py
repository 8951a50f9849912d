"""The follower: a snapshot in pages, then every change, in an order that ends with the truth."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update
from tests.kit.store import Clock, opened

from portway.control.service import accounts
from portway.control.service import view as module
from portway.control.service.context import Context
from portway.control.service.view import Follower, Snapshot
from portway.control.store import changes, view
from portway.control.store.tables import certificate_authorities, reserved_addrs
from portway.errors import Error
from portway.model.view import AddressItem, AuthorityItem, ViewItem

NEVER = 3600.0
"""A poll that does not come: what is told was told because of the bell."""


class Told:
    """A data plane's table, filled as messages come."""

    def __init__(self) -> None:
        """Know nothing."""
        self.items: dict[str, ViewItem] = {}
        self.notes: list[tuple[int, list[ViewItem]]] = []
        self._heard = asyncio.Event()

    def __call__(self, seq: int, items: Sequence[ViewItem]) -> None:
        """Hear a note."""
        self.notes.append((seq, list(items)))
        self.take(items)
        self._heard.set()

    def take(self, items: Sequence[ViewItem]) -> None:
        """Put items into the table."""
        for item in items:
            if item.gone:
                self.items.pop(item.id, None)
            else:
                self.items[item.id] = item

    async def until(self, ids: set[str]) -> None:
        """Wait until exactly these are known."""
        async with asyncio.timeout(10):
            while set(self.items) != ids:
                self._heard.clear()
                await self._heard.wait()


@asynccontextmanager
async def following(context: Context, told: Told, poll: float = NEVER) -> AsyncGenerator[Follower]:
    follower = Follower(context, told, poll=poll)
    running = asyncio.ensure_future(follower.run())
    try:
        yield follower
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def snapshot(follower: Follower, told: Told, after: int | None = None) -> list[Snapshot]:
    pages = [await follower.page(after)]
    told.take(pages[0].items)
    while pages[-1].next:
        pages.append(await follower.page(after, pages[-1].next))
        told.take(pages[-1].items)
    return pages


async def add(context: Context, account: str, *numbers: int) -> None:
    now = context.now()
    async with context.database.write() as connection:
        for number in numbers:
            await connection.execute(
                insert(reserved_addrs).values(
                    id=f"ra_{number:04}", account_id=account, description="", created_at=now,
                    region="local", host="localhost", port=number,
                )
            )  # fmt: skip
            await changes.note(connection, changes.RESERVED_ADDR, account, f"ra_{number:04}", now)


async def remove(context: Context, account: str, number: int) -> None:
    async with context.database.write() as connection:
        await connection.execute(delete(reserved_addrs).where(reserved_addrs.c.port == number))
        await changes.note(connection, changes.RESERVED_ADDR, account, f"ra_{number:04}", context.now())


async def test_a_snapshot_then_changes(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        await add(context, account, 1, 2)
        pages = await snapshot(follower, told)
        assert all(each.whole for each in pages)
        assert {each.seq for each in pages} == {2}
        assert set(told.items) == {"ra_0001", "ra_0002"}
        assert told.items["ra_0001"] == AddressItem("ra_0001", account, "localhost", 1)
        await add(context, account, 3)
        await told.until({"ra_0001", "ra_0002", "ra_0003"})
        await remove(context, account, 1)
        await told.until({"ra_0002", "ra_0003"})
        assert [seq for seq, _ in told.notes] == [3, 4]


async def test_nobody_is_told_before_asking(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        await add(context, account, 1)
        await snapshot(follower, told)
        await add(context, account, 2)
        await told.until({"ra_0001", "ra_0002"})
        assert told.notes[0][0] == 2


async def test_another_process_is_followed_by_looking(tmp_path: Path) -> None:
    told = Told()
    async with (
        opened(tmp_path) as context,
        opened(tmp_path) as other,
        following(context, told, poll=0.01) as follower,
    ):
        account = (await accounts.add(other, "a")).id
        await snapshot(follower, told)
        await add(other, account, 1)
        await told.until({"ra_0001"})


async def test_who_knows_a_number_hears_only_what_came_after(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        await add(context, account, 1, 2, 3)
        (page,) = await snapshot(follower, told, after=2)
        assert (page.whole, page.seq) == (False, 2)
        await told.until({"ra_0003"})


@pytest.mark.parametrize("after", [1, 99], ids=["forgotten", "of another store"])
async def test_who_knows_a_number_that_cannot_be_followed_hears_everything(
    tmp_path: Path, after: int
) -> None:
    told, clock = Told(), Clock()
    async with opened(tmp_path, clock) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        await add(context, account, 1, 2, 3)
        clock.now += changes.KEPT + 1
        await add(context, account, 4)
        pages = await snapshot(follower, told, after=after)
        assert all(each.whole for each in pages)
        assert set(told.items) == {"ra_0001", "ra_0002", "ra_0003", "ra_0004"}


async def test_large_tables_and_long_texts_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_BYTES", 500)
    told = Told()
    async with opened(tmp_path) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        numbers = range(1, view.SOURCES[changes.RESERVED_ADDR].batch // 100 * 3)
        await add(context, account, *numbers)
        async with context.database.write() as connection:
            await connection.execute(
                insert(certificate_authorities),
                [
                    {
                        "id": f"ca_{n}", "account_id": account, "description": "", "created_at": 1.0,
                        "ca_pem": "x" * 400, "subject_common_name": "", "not_before": 0.0, "not_after": 1.0,
                    }
                    for n in range(5)
                ],
            )  # fmt: skip
        pages = await snapshot(follower, told)
        assert len(told.items) == len(numbers) + 5
        assert max(len(each.items) for each in pages) < 10
        async with context.database.write() as connection:
            await connection.execute(update(certificate_authorities).values(ca_pem="y"))
            for n in range(5):
                await changes.note(connection, changes.CERTIFICATE_AUTHORITY, account, f"ca_{n}", 1.0)
            await connection.execute(delete(reserved_addrs))
            for n in numbers:
                await changes.note(connection, changes.RESERVED_ADDR, account, f"ra_{n:04}", 1.0)
        await told.until({f"ca_{n}" for n in range(5)})
        assert told.items["ca_0"] == AuthorityItem("ca_0", account, "y")
        assert len(told.notes) > 1
        seqs = [seq for seq, _ in told.notes]
        assert seqs == sorted(seqs)
        assert seqs[0] == len(numbers), "only the last piece may claim to tell everything"


async def test_writes_between_the_pages_do_not_confuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_BYTES", 500)
    told = Told()
    async with opened(tmp_path) as context, following(context, told) as follower:
        account = (await accounts.add(context, "a")).id
        await add(context, account, *range(1, 41))
        page = await follower.page(None)
        number, gone = 100, 1
        while True:
            told.take(page.items)
            await add(context, account, number)
            await remove(context, account, gone)
            number, gone = number + 1, gone + 2
            if not page.next:
                break
            page = await follower.page(None, page.next)
        kept = set(range(1, 41)) - set(range(1, gone, 2)) | set(range(100, number))
        await told.until({f"ra_{n:04}" for n in kept})


async def test_who_catches_up_has_heard_of_everything_that_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    told = Told()
    async with opened(tmp_path) as context:
        follower = Follower(context, told)  # nobody runs it
        account = (await accounts.add(context, "a")).id
        await follower.catch_up()  # nobody listens yet
        await follower.page(None)
        await add(context, account, *range(1, 11))
        await follower.catch_up()
        assert len(told.items) == 10
        heard = len(told.notes)
        await follower.catch_up()
        assert len(told.notes) == heard


@pytest.mark.parametrize("cursor", ["nonsense", "nonsense:x", "api_key:"])
async def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(Error, match="no cursor"):
            await Follower(context, Told()).page(None, cursor)
