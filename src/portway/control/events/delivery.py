"""The delivery to one destination: takes what is meant for it, sends it in batches, tries again, counts.

Each destination has a task of its own, so one whose receiver is stuck keeps nobody else waiting. A batch
that did not arrive is tried again after ever longer pauses; meanwhile newer traffic events push out older
ones, and audit events wait in the journal, as traffic events for a durable destination do in its spool. What
the receiver refuses for good is given up and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from portway.control.events.outbox import Item, Outbox
from portway.control.events.sending import Sender, Undelivered
from portway.control.events.spool import Spool
from portway.control.ports import Delivered

FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 300.0
"""Seconds before a batch is tried again: at first, doubled each time, at last."""
AT_ONCE: Final = 500
"""Events that are read from the journal, or from a spool, at a time."""

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """Events for one destination that stand on disk, numbered."""

    async def waiting(self, after: int, limit: int) -> list[Item] | None:
        """Return those beyond a number; None while they are another's to send. Raises Error."""
        ...

    async def arrived(self, seqs: Sequence[int]) -> None:
        """They are done with. Raises Error."""
        ...


class Shelf(msgspec.Struct):
    """A place on disk where events for the destination stand."""

    journal: Journal
    sent_up_to: int = 0
    read_up_to: int = 0


class Time(msgspec.Struct, frozen=True):
    """A clock that tests can turn: Unix seconds, a pause, and chance in [0, 1)."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    random: Callable[[], float]


class Delivery:
    """Sends to one destination. ``run`` it in a task."""

    def __init__(
        self,
        destination_id: str,
        sender: Sender,
        journal: Journal,
        time: Time,
        *,
        durable: bool = False,
        spool: Spool | None = None,
        before: Delivered | None = None,
    ) -> None:
        """Take the destination, how to send to it, and where its audit events are.

        ``spool`` holds its traffic events if it is ``durable``, or was. ``before`` is what was counted
        earlier.
        """
        self.id = destination_id
        self._sender = sender
        self._shelves = [Shelf(journal)] if spool is None else [Shelf(journal), Shelf(spool)]
        self._spool = spool
        self.durable = durable
        """Its traffic events are to be kept on disk."""
        self._time = time
        self._outbox = Outbox()
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause = 0.0
        self._unkept = False
        before = before or Delivered()
        self._delivered, self._failed, self._dropped = before.delivered, before.failed, before.dropped
        self._lost_before = 0 if spool is None else spool.dropped
        self._last_error = ""
        self.in_journal = 0
        """Audit events that still wait, as far as is known."""

    def __repr__(self) -> str:
        """Show how it fares."""
        return f"<Delivery {self.id} {self._outbox!r} delivered={self._delivered} failed={self._failed}>"

    @property
    def state(self) -> Delivered:
        """How the destination fares."""
        spooled = lost = 0
        if self._spool is not None:
            spooled, lost = self._spool.left, self._spool.dropped - self._lost_before
        waiting = max(len(self._outbox), self.in_journal + spooled + self._outbox.traffic)
        dropped = self._dropped + self._outbox.dropped + lost
        return Delivered(self._delivered, self._failed, dropped, waiting, self._last_error)

    @property
    def failing(self) -> bool:
        """The last try has failed, and the next one waits."""
        return bool(self._pause)

    def put(self, item: Item) -> None:
        """Take a traffic event."""
        self._outbox.put(item)
        self._ring()

    async def keep(self, items: Sequence[Item]) -> None:
        """Take traffic events for a durable destination: they are on disk when this returns.

        On a disk that takes nothing they wait in memory, as those for other destinations do.
        """
        assert self._spool is not None
        try:
            await self._spool.keep(items)
        except OSError as error:
            if not self._unkept:
                _log.error("events for %s wait in memory only: %s", self.id, error.strerror)
            self._unkept = True
            for item in items:
                self.put(item)
        else:
            self._unkept = False
            self._ring()

    def take_over(self, former: "Delivery") -> None:
        """Take the traffic events that wait in the memory of the delivery that this one replaces."""
        for item in former._outbox.take_traffic():  # noqa: SLF001 - another of the same class
            self.put(item)

    def wake(self) -> None:
        """There may be audit events in the journal."""
        self._ring()

    def lost(self, count: int) -> None:
        """So many events were given up: too old, too many, or lost on their way here."""
        self._dropped += count

    def unfit(self, message: str) -> None:
        """An event could not be judged by its filter; it is not sent."""
        self._dropped += 1
        self._last_error = message

    async def settled(self) -> None:
        """Wait until nothing waits."""
        await self._idle.wait()

    async def run(self) -> None:
        """Send, for ever."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            while await self._step():
                pass
            if not self._bell.is_set():
                self._idle.set()

    def _ring(self) -> None:
        self._idle.clear()
        self._bell.set()

    async def _step(self) -> bool:
        """Send one batch or fail at it; return whether there may be more."""
        await self._read_shelves()
        seconds = 0.0 if self._pause else self._sender.batch_seconds
        if seconds and 0 < len(self._outbox) < self._sender.batch_size and not self._more_is_spooled:
            await self._time.sleep(seconds)
            if self._spool is not None:
                await self._read(self._shelves[1:])
        batch = self._outbox.batch(self._time.now(), self._sender.batch_size)
        if not batch:
            return False
        try:
            await self._sender.send(batch)
        except Undelivered as error:
            await self._not_sent(batch, error)
        else:
            await self._sent(batch)
        return True

    @property
    def _more_is_spooled(self) -> bool:
        """Tell whether a batch that is not full is so because no more was read at once."""
        return self._spool is not None and self._spool.left > len(self._outbox) - self._outbox.traffic

    async def _read_shelves(self) -> None:
        """Have events at hand that stand on disk and were not sent yet."""
        if not self._outbox.has_kept:
            for shelf in self._shelves:
                shelf.read_up_to = shelf.sent_up_to
            await self._read(self._shelves)

    async def _read(self, shelves: Sequence[Shelf]) -> None:
        """Read what follows on what is at hand."""
        for shelf in shelves:
            try:
                found = await shelf.journal.waiting(shelf.read_up_to, AT_ONCE)
            except Exception as error:  # noqa: BLE001 - the store may be away for any reason; the next look finds out
                _log.warning("events for %s cannot be read now: %s", self.id, error)
                continue
            if found is None:
                continue
            if shelf is self._shelves[0] and len(found) < AT_ONCE:
                self.in_journal = len(found)
            for item in found:
                shelf.read_up_to = item.seq
                self._outbox.put(item)

    async def _sent(self, batch: list[Item]) -> None:
        if self._pause:
            _log.info("events arrive again at %s", self.id)
        self._pause, self._last_error = 0.0, ""
        self._delivered += len(batch)
        await self._done(batch)

    async def _not_sent(self, batch: list[Item], error: Undelivered) -> None:
        """Count what arrived and what never will; wait before the rest is tried again."""
        if error.done:
            self._delivered += error.done
            await self._done(batch[: error.done])
        if not self._pause:
            _log.warning("events cannot be sent to %s: %s", self.id, error.message)
        self._last_error = error.message
        rest = batch[error.done :]
        if error.final:
            given_up = rest if len(rest) == len(batch) and not error.done else rest[:1]
            self._failed += len(given_up)
            await self._done(given_up)
            return
        self._pause = min(max(FIRST_PAUSE, self._pause * 2), LAST_PAUSE)
        self._outbox.forget_kept()  # the journal forgets what becomes too old
        await self._time.sleep(self._pause * (0.5 + self._time.random() / 2))

    async def _done(self, items: list[Item]) -> None:
        """These need not be sent again."""
        self._outbox.done(items)
        for shelf in self._shelves:
            spooled = shelf is not self._shelves[0]
            seqs = [item.seq for item in items if item.seq and item.spooled is spooled]
            if not seqs:
                continue
            shelf.sent_up_to = max(shelf.sent_up_to, *seqs)
            if not spooled:
                self.in_journal = max(0, self.in_journal - len(seqs))
            try:
                await shelf.journal.arrived(seqs)
            except Exception as error:  # noqa: BLE001 - they are sent once more after a restart; that is allowed
                _log.warning("it cannot be written down now what %s has: %s", self.id, error)
