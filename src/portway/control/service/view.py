"""Telling the data plane what it must know of the store: a snapshot, then every change.

The data plane asks for pages of a snapshot; from the first page on it is also told of changes. Pages
and changes go out in the order in which they were read: a lock is held from reading to sending. So
whoever puts items into a table as they come, whether from a page or from a change, ends with the truth,
although the pages are read one after the other while others write.

A data plane that knows the state up to some number (its controller was replaced, say) gets only what
changed since, as long as those changes are kept; else everything anew.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from portway.control.service.context import Context
from portway.control.store import changes
from portway.control.store import view as store
from portway.errors import Error
from portway.model.view import ViewItem

POLL: Final = 0.5
"""Seconds between two looks for what other processes have changed."""

BATCH: Final = 500
"""Changes read at once."""

PAGE_BYTES: Final = 1 << 20
"""Bytes of items after which a page or a note is full; one item more may follow."""

_log = logging.getLogger(__name__)

Tell = Callable[[int, Sequence[ViewItem]], None]
"""Sends items, and the number up to which they tell everything."""


class Snapshot(msgspec.Struct, frozen=True):
    """One page. ``next`` is the cursor of the following page, "" on the last.

    ``whole``: the pages together are everything, and what they do not have is gone; else they are
    what changed since the number that was asked for. ``seq`` is the number of the first page.
    """

    seq: int
    items: list[ViewItem]
    next: str = ""
    whole: bool = True


class Follower:
    """Follows the changes of one store for one data plane."""

    def __init__(self, context: Context, tell: Tell, *, poll: float = POLL) -> None:
        """Take where to read and whom to tell. Nobody is told before the first page."""
        self._context = context
        self._tell = tell
        self._poll = poll
        self._lock = asyncio.Lock()
        self._seq: int | None = None

    async def page(self, after: int | None, cursor: str = "") -> Snapshot:
        """Return a page of the snapshot. ``after`` is the number up to which the asker knows all.

        The caller must send it without waiting for anything in between. Raises Error.
        """
        async with self._lock:
            if cursor:
                return await self._rest(cursor)
            async with self._context.database.read() as connection:
                newest = await changes.last(connection)
                known = after is not None and await changes.follows(connection, after)
            if after is not None and known:
                self._seq = after
                self._context.feed.changed()  # what changed since follows by itself, at once
                return Snapshot(after, [], whole=False)
            self._seq = newest
            return await self._rest(f"{next(iter(store.SOURCES))}:")

    async def catch_up(self) -> None:
        """Tell of every change that is committed by now, before this returns. Raises Error."""
        while await self._look():
            pass

    async def run(self) -> None:
        """Tell of changes, for ever. A store that cannot be read is tried again."""
        silent = False
        while True:
            try:
                more = await self._look()
                silent = False
            except Error as error:
                more = False
                if not silent:
                    _log.warning("changes cannot be followed now: %s", error.message)
                silent = True
            if not more:
                await self._context.feed.wait(self._poll)

    async def _look(self) -> bool:
        """Tell of the next batch of changes; return whether there may be more."""
        async with self._lock:
            if self._seq is None:
                return False
            async with self._context.database.read() as connection:
                fresh = await changes.after(connection, self._seq, BATCH)
                items = [
                    item
                    for kind in store.SOURCES
                    if (named := _last_of_each(fresh, kind))
                    for item in await store.rows_of(connection, named)
                ]
            if not fresh:
                return False
            self._seq = fresh[-1].seq
            while items:
                part, items = _fill(items)
                # Only the last part tells everything up to this number.
                self._tell(fresh[0].seq - 1 if items else self._seq, part)
            return len(fresh) == BATCH

    async def _rest(self, cursor: str) -> Snapshot:
        """Read on from a cursor: a kind and the last identifier of it that was told."""
        kind, colon, last_id = cursor.partition(":")
        if not colon or kind not in store.SOURCES:
            raise Error(f"{cursor!r} is no cursor of a snapshot.")
        kinds = list(store.SOURCES)
        async with self._context.database.read() as connection:
            read = await store.rows_after(connection, kind, last_id)
        part, left = _fill(read)
        if left or len(read) == store.SOURCES[kind].batch:
            following = f"{kind}:{part[-1].id}"
        else:
            following = next((f"{other}:" for other in kinds[kinds.index(kind) + 1 :]), "")
        return Snapshot(self._seq or 0, part, following)


def _last_of_each(fresh: Sequence[changes.Change], kind: str) -> list[changes.Change]:
    """Return the changes of a kind, each row once."""
    return list({each.subject_id: each for each in fresh if each.kind == kind}.values())


def _fill(items: list[ViewItem]) -> tuple[list[ViewItem], list[ViewItem]]:
    """Part items in those that fill one message and those that are left."""
    size = 0
    for number, item in enumerate(items, 1):
        size += len(msgspec.json.encode(item))
        if size >= PAGE_BYTES:
            return items[:number], items[number:]
    return items, []
