"""One destination: takes what is meant for it, sends it in batches, tries again, counts.

Each destination has a task of its own, so one whose receiver is stuck keeps nobody else waiting. A batch
that did not arrive is tried again after ever longer pauses; meanwhile newer traffic events push out older
ones, and audit events wait in the journal. What the receiver refuses for good is given up and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from portway.control.events.outbox import Item, Outbox
from portway.control.events.sending import Sender, Undelivered
from portway.control.ports import Delivered

FIRST_PAUSE: Final = 1.0
LAST_PAUSE: Final = 300.0
"""Seconds before a batch is tried again: at first, doubled each time, at last."""
AUDIT_AT_ONCE: Final = 500
"""Audit events that are read from the journal at a time."""

_log = logging.getLogger(__name__)


class Journal(Protocol):
    """The audit events of one destination."""

    async def waiting(self, after: int, limit: int) -> list[Item] | None:
        """Return those beyond a number; None while they are another's to send. Raises Error."""
        ...

    async def arrived(self, seqs: Sequence[int]) -> None:
        """They are done with. Raises Error."""
        ...


@dataclass(frozen=True, slots=True)
class Time:
    """A clock that tests can turn: Unix seconds, a pause, and chance in [0, 1)."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    random: Callable[[], float]


class Worker:
    """Sends to one destination. ``run`` it in a task."""

    def __init__(self, destination_id: str, sender: Sender, journal: Journal, time: Time) -> None:
        """Take the destination, how to send to it, and where its audit events are."""
        self.id = destination_id
        self._sender = sender
        self._journal = journal
        self._time = time
        self._outbox = Outbox()
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause = 0.0
        self._delivered = 0
        self._failed = 0
        self._dropped = 0
        self._last_error = ""
        self._sent_up_to = 0
        self.in_journal = 0
        """Audit events that still wait, as far as is known."""

    def __repr__(self) -> str:
        """Show how it fares."""
        return f"<Worker {self.id} {self._outbox!r} delivered={self._delivered} failed={self._failed}>"

    @property
    def state(self) -> Delivered:
        """How the destination fares."""
        waiting = max(len(self._outbox), self.in_journal + self._outbox.traffic)
        dropped = self._dropped + self._outbox.dropped
        return Delivered(self._delivered, self._failed, dropped, waiting, self._last_error)

    @property
    def failing(self) -> bool:
        """The last try has failed, and the next one waits."""
        return bool(self._pause)

    def put(self, item: Item) -> None:
        """Take a traffic event."""
        self._outbox.put(item)
        self._ring()

    def wake(self) -> None:
        """There may be audit events in the journal."""
        self._ring()

    def lost(self, count: int) -> None:
        """So many audit events were given up because they were too old, or too many."""
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
        await self._read_journal()
        seconds = 0.0 if self._pause else self._sender.batch_seconds
        if seconds and 0 < len(self._outbox) < self._sender.batch_size:
            await self._time.sleep(seconds)
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

    async def _read_journal(self) -> None:
        """Have audit events at hand, those that stand in the journal and were not sent yet."""
        if self._outbox.newest_audit:
            return
        try:
            found = await self._journal.waiting(self._sent_up_to, AUDIT_AT_ONCE)
        except Exception as error:  # noqa: BLE001 - the store may be away for any reason; the next look finds out
            _log.warning("the journal of events cannot be read now: %s", error)
            return
        if found is None:
            return
        if len(found) < AUDIT_AT_ONCE:
            self.in_journal = len(found)
        for item in found:
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
        self._outbox.forget_audit()  # the journal forgets what becomes too old
        await self._time.sleep(self._pause * (0.5 + self._time.random() / 2))

    async def _done(self, items: list[Item]) -> None:
        """These need not be sent again."""
        self._outbox.done(items)
        seqs = [item.seq for item in items if item.seq]
        if not seqs:
            return
        self._sent_up_to = max(self._sent_up_to, *seqs)
        self.in_journal = max(0, self.in_journal - len(seqs))
        try:
            await self._journal.arrived(seqs)
        except Exception as error:  # noqa: BLE001 - they are sent once more after a restart; that is allowed
            _log.warning("the journal of events cannot be written now: %s", error)
