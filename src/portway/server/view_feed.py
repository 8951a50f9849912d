"""Keeps the edge's view equal to the store: a snapshot in pages, then every change, by number.

The controller sends pages and notes in the order in which it read them. An answer, however, reaches us
a moment after it arrived, and a note at once; so notes that come while a page is asked for wait until
that page was applied. One that was older than the page is then applied late: but what is newer than
it is told by yet another note, so the last word is right.

The number up to which everything is known counts only once a snapshot is complete. The next
controller is asked for what came after it, or sends everything anew if that is not kept any more.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from portway.errors import Error
from portway.model.view import ViewItem
from portway.server.channel import CALL_TIMEOUT, Channel, arguments

if TYPE_CHECKING:
    from portway.edge.view import View

RETRY: Final = 0.5
"""Seconds until a page that the store could not give is asked for again."""

_log = logging.getLogger(__name__)


class Page(msgspec.Struct):
    """One page of a snapshot, as the controller answers it."""

    seq: int
    items: list[ViewItem]
    next: str = ""
    whole: bool = True


class Note(msgspec.Struct):
    """Rows that changed, and the number up to which these tell everything."""

    seq: int
    items: list[ViewItem]


class ViewFeed:
    """Fills one view, from one controller after the other."""

    def __init__(self, view: "View") -> None:
        """Know nothing yet."""
        self._view = view
        self._seq: int | None = None
        self._behind = 0
        """While a snapshot is incomplete: the number that will count when it is."""
        self._loading = False
        self._waiting: list[Note] | None = None

    def __repr__(self) -> str:
        """Show how far it knows."""
        return f"<ViewFeed seq={self._seq} {'loading' if self._loading else 'following'}>"

    async def begin(self, channel: Channel, timeout: float) -> str:
        """Ask a new controller for the first page; return the cursor of the next. Raises Error."""
        self._loading = True
        self._waiting = []
        page = await channel.call("view", {"after": self._seq}, Page, timeout=timeout)
        if page.whole:
            self._view.begin()
        self._behind = page.seq
        self._take(page)
        if not page.whole:
            self._complete()
        return page.next

    async def load(self, channel: Channel, cursor: str, lost: asyncio.Event) -> None:
        """Ask for the other pages; for one that the store cannot give again, until the controller is lost."""
        while cursor:
            self._waiting = []
            try:
                page = await channel.call("view", {"cursor": cursor}, Page, timeout=CALL_TIMEOUT)
            except Error as error:
                self._release()
                if lost.is_set():
                    return
                _log.warning("the view of the store is not complete yet: %s", error.message)
                await asyncio.sleep(RETRY)
                continue
            self._take(page)
            cursor = page.next
        if self._loading:
            self._view.finish()
            self._complete()

    def noted(self, args: msgspec.Raw) -> None:
        """Take rows that changed."""
        note = arguments(args, Note)
        if self._waiting is not None:
            self._waiting.append(note)
        else:
            self._follow(note)

    def _take(self, page: Page) -> None:
        self._view.apply(page.items)
        self._release()

    def _release(self) -> None:
        """Apply the notes that waited for a page."""
        waiting, self._waiting = self._waiting or [], None
        for note in waiting:
            self._follow(note)

    def _follow(self, note: Note) -> None:
        self._view.apply(note.items)
        self._behind = max(self._behind, note.seq)
        if not self._loading:
            self._seq = self._behind

    def _complete(self) -> None:
        self._loading = False
        self._seq = self._behind
