"""All destinations together: knows who wants what, takes what happens, keeps one delivery a destination.

::

    data plane ── traffic events ──▶ take ──▶ routing ──▶ outbox, or spool (disk) ─┐
                                                                                   ├─ delivery ──▶ receiver
    use cases ── transaction ──▶ journal (store) ───────────────────── bell, look ─┘             (one each)

Traffic events are judged in small slices between which the loop is free: whoever waits for an answer of
this process waits some milliseconds at most. A batch that the data plane sends again, since nobody confirmed
it, goes to durable destinations only: others may have had it. What the store says of destinations and
subscriptions is read anew whenever it has changed, within a second also when another process changed it.
"""

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy.engine import Row

from portway.control.events.delivery import Delivery, Time
from portway.control.events.outbox import Item
from portway.control.events.routing import Routing
from portway.control.events.senders import Tools, make_sender
from portway.control.events.sending import Undelivered
from portway.control.events.spool import Spool
from portway.control.events.tally import Tally, since
from portway.control.ports import Delivered
from portway.control.service import audit, event_destinations
from portway.control.service.context import Context
from portway.control.store import accounts, audit_events, changes, event_leases
from portway.control.store import event_subscriptions as store
from portway.errors import Error
from portway.model.event_payload import TYPE_OF, Session, Traffic, envelope, session, traffic
from portway.model.event_target import Target
from portway.model.ids import Series, new_id
from portway.net.tasks import Tasks

LOOK: Final = 1.0
"""Seconds between two looks for what other processes have written."""
SWEEP: Final = 60.0
"""Seconds between two looks for audit events that are too old, or too many."""
AUDIT_AGE: Final = 86_400.0
"""Seconds after which an audit event that could not be sent is given up."""
JOURNAL_LIMIT: Final = 50_000
"""Audit events that the journal keeps for one destination; then the oldest are given up."""
TALLY: Final = 10.0
"""Seconds after which what was counted is written down."""
SLICE: Final = 25
"""Traffic events that are judged before the loop goes on."""
LEASE: Final = 20.0
"""Seconds for which a service that sends audit events to a destination keeps others on its store from it."""
FLUSH: Final = 10.0
"""Seconds for what still waits when the service stops."""
TEST_TYPE: Final = "test_event.v0"

_KINDS: Final = {changes.EVENT_DESTINATION, changes.EVENT_SUBSCRIPTION}

_log = logging.getLogger(__name__)


class _Journal:
    """The audit events of one destination, in the store. Of several services on it one has them at a time."""

    def __init__(self, context: Context, destination_id: str, holder: str, time: Time) -> None:
        self._context = context
        self._id = destination_id
        self._holder = holder
        self._time = time
        self._until = 0.0

    async def waiting(self, after: int, limit: int) -> list[Item] | None:
        """Return those beyond a number; None while another service sends them."""
        if not await self._is_ours():
            return None
        async with self._context.database.read() as connection:
            found = await audit_events.waiting(connection, self._id, after, limit)
        return [_audit_item(each) for each in found]

    async def arrived(self, seqs: Sequence[int]) -> None:
        """Forget them."""
        async with self._context.database.write() as connection:
            await audit_events.arrived(connection, self._id, seqs)

    async def renew(self) -> None:
        """Go on having them, if they are ours: they are being sent."""
        if self._until > self._time.now():
            await self._is_ours()

    async def _is_ours(self) -> bool:
        database, now = self._context.database, self._time.now()
        if not database.is_shared or self._until - now > LEASE / 2:
            return True
        async with database.read() as connection:
            free = await event_leases.is_free(connection, self._id, self._holder, now)
        if free:
            async with database.write() as connection:
                free = await event_leases.take(connection, self._id, self._holder, now, now + LEASE)
        self._until = now + LEASE if free else 0.0
        return free


class Courier:
    """Sends the events of one store. It is the ``Deliveries`` of the use cases."""

    def __init__(
        self, context: Context, tools: Tools, time: Time, holder: str = "", spool: Path | None = None
    ) -> None:
        """Take the store, what to send with, and a clock. Nothing is sent before ``run``.

        ``holder`` is who this service is among those that share a store; the same after a restart.
        ``spool`` is the folder of what must survive one beside the store; without it nothing is durable.
        """
        self._context = context
        self._holder = holder
        self._journals: dict[str, _Journal] = {}
        self._tools = tools
        self._time = time
        self._tasks = Tasks()
        self._deliveries: dict[str, Delivery] = {}
        self._spools: dict[str, Spool] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._made_of: dict[str, tuple[Any, ...]] = {}
        self._routing = Routing(())
        self._known = asyncio.Event()
        self._spool = spool
        self._tally = Tally(spool)
        self._loaded: dict[str, Delivered] = {}
        self._counted: dict[str, Delivered] | None = None
        """What was counted of destinations that have no delivery now; None before that is read."""
        self._turn = asyncio.Lock()
        self._taken = b""
        self._seq = -1
        self._swept = self._tallied = 0.0

    def __repr__(self) -> str:
        """Show how many destinations there are."""
        return f"<Courier destinations={len(self._deliveries)} {self._routing!r}>"

    # -- for the use cases

    def state(self, destination_id: str, kind: str) -> Delivered:
        """Say how a destination fares."""
        delivery = self._deliveries.get(destination_id)
        return Delivered() if delivery is None else delivery.state

    def states(self) -> dict[str, Delivered]:
        """Say how every destination fares, counted since this process began: rates are drawn of that."""
        return {each: since(state, self._loaded.get(each)) for each, state in self._totals().items()}

    def _totals(self) -> dict[str, Delivered]:
        return {each: delivery.state for each, delivery in self._deliveries.items()}

    async def test(self, account_id: str, destination_id: str, target: Target) -> str:
        """Send one event; return its identifier. Raises Error 5132 with what the receiver said."""
        sender = make_sender(target, account_id, self._tools)
        if sender is None:
            raise Error(f"This service sends nothing to {target.kind}.", 5132)
        now = self._time.now()
        event_id = new_id("ev", self._context.random, now)
        object_ = {"message": "This is a test.", "destination_id": destination_id}
        body = envelope(event_id, TEST_TYPE, now, account_id, object_)
        try:
            await sender.send([Item(event_id, TEST_TYPE, account_id, now, msgspec.json.encode(body))])
        except Undelivered as error:
            raise Error(f"The test event did not arrive. {error.message}.", 5132) from error
        return event_id

    # -- for the data plane

    async def take(self, events: Iterable[Traffic], batch: bytes = b"", *, again: bool = False) -> None:
        """Take what has happened, and have it sent to whoever wants it.

        Right after the start this waits until it is known who that is. ``batch`` names these events; they get
        the same identifiers when they come ``again``. When this returns, what is for durable destinations is
        on the disk.
        """
        await self._known.wait()
        async with self._turn:
            if again and batch and batch == self._taken:
                return
            ids = Series("ev", _drawn_from(batch) if batch else self._context.random)
            kept: dict[str, list[Item]] = {}
            for number, event in enumerate(events, 1):
                event_id, kind = ids.next(event.end_ts), TYPE_OF[type(event)]
                if self._routing.wanted(event.account_id, kind):
                    self._send(kind, event, event_id, kept, again=again)
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            for to, items in kept.items():
                if (delivery := self._deliveries.get(to)) is not None:
                    await delivery.keep(items)
            self._taken = batch

    async def take_session(self, event: Session, event_id: str) -> None:
        """Take the start or the end of an agent's session: that is an audit event. Raises Error.

        An agent that nobody knows was refused by the service, so its only account hears of it; of several
        none does, since the agent may be the business of any of them.
        """
        account = event.account_id
        if not account:
            async with self._context.database.read() as connection:
                account = await accounts.only_one(connection)
        if account:
            payload = session(event, self._context.settings.api_url)
            await audit.note_session(self._context, TYPE_OF[type(event)], event_id, account, payload)

    def _send(
        self, kind: str, event: Traffic, event_id: str, kept: dict[str, list[Item]], *, again: bool
    ) -> None:
        now = self._time.now()
        account = event.account_id
        written: dict[tuple[str, ...] | None, bytes] = {}
        for to, fields in self._routing.choose(event, event_id, self._unfit).items():
            delivery = self._deliveries.get(to)
            if delivery is None:
                continue
            if again and not delivery.durable:
                delivery.lost(1)  # it may have arrived, but nobody knows
                continue
            body = written.get(fields)
            if body is None:
                whole_event = envelope(event_id, kind, event.end_ts, account, traffic(event, fields))
                body = written[fields] = msgspec.json.encode(whole_event)
            item = Item(event_id, kind, account, now, body)
            if delivery.durable:
                kept.setdefault(to, []).append(item)
            else:
                delivery.put(item)

    def _unfit(self, destination_id: str, why: str) -> None:
        delivery = self._deliveries.get(destination_id)
        if delivery is not None:
            delivery.unfit(why)

    # -- its life

    async def run(self) -> None:
        """Follow the store, for ever. A store that cannot be read is tried again."""
        try:
            while True:
                try:
                    await self.look()
                    await self._count()
                except Error as error:
                    _log.warning("events cannot be followed now: %s", error.message)
                await self._context.database.journal.wait(LOOK)
        finally:
            await self._tasks.close()

    async def look(self) -> None:
        """Read what has changed, wake whom the journal has something for, sweep. Raises Error."""
        async with self._context.database.read() as connection:
            newest = await changes.last(connection)
            fresh = await changes.after(connection, self._seq) if 0 <= self._seq < newest else []
        if self._seq < 0 or any(each.kind in _KINDS for each in fresh):
            await self._reload()
        self._seq = newest
        self._known.set()
        if self._deliveries:
            async with self._context.database.read() as connection:
                behind = await audit_events.behind(connection)
                for destination_id in behind:
                    delivery = self._deliveries.get(destination_id)
                    if delivery is not None:
                        delivery.in_journal = await audit_events.count(connection, destination_id)
                        delivery.wake()
            for destination_id in behind:
                if (delivery := self._deliveries.get(destination_id)) is not None and not delivery.failing:
                    await self._journals[destination_id].renew()
        await self._sweep()

    async def flush(self, timeout: float = FLUSH) -> None:
        """Wait until what waits is sent, at most some seconds; not for receivers that do not answer."""
        await self.look()
        try:
            async with asyncio.timeout(timeout):
                for delivery in self._deliveries.values():
                    if not delivery.failing:
                        await delivery.settled()
        except TimeoutError:
            _log.warning("not all events were sent before the end")
        await self._tally.save(self._totals())
        if self._context.database.is_shared:
            async with self._context.database.write() as connection:
                await event_leases.leave(connection, self._holder)

    async def _reload(self) -> None:
        async with self._context.database.read() as connection:
            destinations = await store.destinations(connection)
            subscriptions = await store.every(connection)
        if self._counted is None:
            loaded = await self._tally.load()
            if self._counted is None:
                self._loaded, self._counted = loaded, dict(loaded)
        here = {row.id: row for row in destinations}
        for gone in [each for each in self._deliveries if each not in here]:
            self._end(gone)
        await self._clear(here)
        for row in destinations:
            made_of = (row.kind, row.settings, row.sealed, row.durable)
            if self._made_of.get(row.id) != made_of:
                self._begin(row, self._counted)
                self._made_of[row.id] = made_of
        self._routing = Routing(subscriptions)

    def _begin(self, row: Row[Any], counted: dict[str, Delivered]) -> None:
        """Make the delivery of a destination, or another one where its target has changed."""
        former = self._deliveries.get(row.id)
        if former is not None:
            counted[row.id] = former.state
        self._end(row.id)
        try:
            target = event_destinations.opened(self._context, row)
        except Error:
            return  # its secrets cannot be opened; the log says so
        sender = make_sender(target, row.account_id, self._tools)
        if sender is None:
            return
        journal = self._journals[row.id] = _Journal(self._context, row.id, self._holder, self._time)
        delivery = self._deliveries[row.id] = Delivery(
            row.id, sender, journal, self._time,
            durable=row.durable and self._spool is not None,
            spool=self._spool_of(row),
            before=counted.pop(row.id, None),
        )  # fmt: skip
        if former is not None:
            delivery.take_over(former)
        delivery.wake()
        self._running[row.id] = self._tasks.start(delivery.run(), name=f"events for {row.id}")

    def _spool_of(self, row: Row[Any]) -> Spool | None:
        """Return the spool of a durable destination, or of one that was durable: it may not be empty."""
        if self._spool is None or not (row.durable or (self._spool / row.id).is_dir()):
            return None
        return self._spools.setdefault(row.id, Spool(self._spool / row.id, self._time.now))

    async def _clear(self, here: Collection[str]) -> None:
        """Remove the spools of destinations that are gone."""
        if self._spool is None:
            return
        for gone in await asyncio.to_thread(_folders, self._spool):
            if gone not in here:
                await self._spools.pop(gone, Spool(self._spool / gone, self._time.now)).remove()

    async def _count(self) -> None:
        if self._time.now() - self._tallied >= TALLY:
            self._tallied = self._time.now()
            await self._tally.save(self._totals())

    def _end(self, destination_id: str) -> None:
        self._deliveries.pop(destination_id, None)
        self._journals.pop(destination_id, None)
        self._made_of.pop(destination_id, None)
        running = self._running.pop(destination_id, None)
        if running is not None:
            running.cancel()

    async def _sweep(self) -> None:
        """Give up audit events that are too old, or too many for a destination, and count them there."""
        now = self._time.now()
        if now - self._swept < SWEEP:
            return
        self._swept = now
        async with self._context.database.write() as connection:
            lost = await audit_events.expire(connection, now - AUDIT_AGE)
            for destination_id in await audit_events.behind(connection):
                more = await audit_events.trim(connection, destination_id, JOURNAL_LIMIT)
                lost[destination_id] = lost.get(destination_id, 0) + more
        for destination_id, count in lost.items():
            delivery = self._deliveries.get(destination_id)
            if delivery is not None and count:
                delivery.lost(count)


def _audit_item(entry: audit_events.Entry) -> Item:
    known = msgspec.json.decode(entry.body, type=_Known)
    return Item(entry.id, known.event_type, known.account_id, entry.at, entry.body.encode(), entry.seq)


def _folders(path: Path) -> list[str]:
    return [each.name for each in path.iterdir() if each.is_dir()] if path.is_dir() else []


def _drawn_from(seed: bytes) -> Callable[[int], bytes]:
    """Return a source of bytes that are the same for the same seed."""
    draws = itertools.count()
    return lambda size: hashlib.blake2b(b"%d" % next(draws), key=seed[:64], digest_size=size).digest()


class _Known(msgspec.Struct):
    event_type: str
    account_id: str
