"""Events on their way from the data plane to whoever delivers them: the controller.

The feed stands before the log and passes everything on to it. What a subscription wants is kept, bounded,
and sent in batches; the next batch goes when the controller has taken the last one. So a controller that is
slow or away costs memory up to the bounds and not a moment of the data plane's time. Without room the oldest
traffic events are dropped, and counted. A batch that nobody has confirmed is sent again, under its name, and
said to be: what was in it goes to durable destinations only. The starts and ends of agents' sessions are sent
until they are confirmed, under one identifier, in messages of their own: a store that cannot take them now
keeps no traffic event waiting.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from portway.control import files
from portway.errors import Error
from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    HttpRequestComplete,
    TcpConnectionClosed,
)
from portway.model.event_payload import TYPE_OF
from portway.model.event_types import SESSION_START
from portway.model.ids import new_id
from portway.server.channel import Channel

if TYPE_CHECKING:
    from portway.edge.ports import EventSink
    from portway.edge.wishes import Wishes

EVENTS: Final = "events"
"""The request that carries a batch. The controller handles it beside the others."""
FLUSH_EVENTS: Final = "flush_events"
"""The request to send what waits, before the end."""
PENDING: Final = "events.pending"
"""File of a data folder: ends of sessions that nobody was there to be told of."""
TRAFFIC_LIMIT: Final = 20_000
"""Traffic events that wait for the controller."""
SESSION_LIMIT: Final = 10_000
"""Starts and ends of sessions that do."""
STRANGERS: Final = 60
"""Refusals of agents that nobody knows which are told of within a minute: each is written into the store."""
BATCH: Final = 250
"""Events of one message."""
BATCH_BYTES: Final = 1 << 20
"""Bytes after which a message is full; one event more may follow."""
GATHER: Final = 0.05
"""Seconds that traffic events wait for more: a message costs more than ten of them."""
RETRY: Final = 0.5
"""Seconds until what was not confirmed is sent again."""
TRIES: Final = 20
"""Times that a batch of traffic events is sent; then it is given up."""

_TRAFFIC: Final = (HttpRequestComplete, TcpConnectionClosed)

_log = logging.getLogger(__name__)


class Told(msgspec.Struct):
    """The start or the end of a session, with the identifier of its event."""

    type: str
    event: msgspec.Raw
    id: str


class _Batch(msgspec.Struct):
    """Traffic events on their way. ``name`` stays the same over all tries."""

    name: str
    events: list[msgspec.Raw]
    tries: int = 0


class Observer(Protocol):
    """Counts or traces what is over. Never blocks and never raises."""

    def observe(self, event: HttpRequestComplete | TcpConnectionClosed) -> None:
        """Take one."""
        ...


class EventFeed:
    """The event sink of the data plane: to the log, and to those who subscribe."""

    def __init__(self, log: "EventSink") -> None:
        """Pass every event on to the log. Nobody subscribes before ``follow``."""
        self._log = log
        self._wishes: Wishes | None = None
        self._traffic: deque[HttpRequestComplete | TcpConnectionClosed] = deque()
        self._sessions: deque[tuple[str, AgentSessionStarted | AgentSessionStopped]] = deque()
        self._sent: _Batch | None = None
        self._bell = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.observers: list[Observer] = []
        """Hear of each request and each connection that is over."""
        self._minute = self._strangers = 0
        self.refused: dict[str, int] = {}
        """Agents that were refused, by ERR_NGROK_n."""
        self.taken = 0
        """Traffic events that subscriptions wanted."""
        self.dropped = 0
        """Those that were lost before the controller had them."""

    def __repr__(self) -> str:
        """Show what waits."""
        return (
            f"<EventFeed traffic={len(self._traffic)} sessions={len(self._sessions)} dropped={self.dropped}>"
        )

    def follow(self, wishes: "Wishes") -> None:
        """Go by these wishes from now on."""
        self._wishes = wishes

    def emit(self, event: object) -> None:
        """Take an event. Never blocks and never raises."""
        self._log.emit(event)
        if isinstance(event, _TRAFFIC):
            for each in self.observers:
                each.observe(event)
            wishes = self._wishes
            if wishes is not None and wishes.subscribed(event.account_id, TYPE_OF[type(event)]):
                self.taken += 1
                self._traffic.append(event)
                if len(self._traffic) > TRAFFIC_LIMIT:
                    self._traffic.popleft()
                    self.dropped += 1
                if not self._bell.is_set():
                    self._ring()
        elif isinstance(event, AgentSessionStarted | AgentSessionStopped):
            if isinstance(event, AgentSessionStarted) and event.error:
                self.refused[event.error_code] = self.refused.get(event.error_code, 0) + 1
            if not event.account_id and not self._stranger_is_told_of():
                return
            if len(self._sessions) < SESSION_LIMIT:
                event_id = new_id("ev", secrets.token_bytes, time.time())
                self._sessions.append((event_id, event))
            else:
                _log.error("an event of an agent's session is lost: too many wait")
            self._ring()

    def _stranger_is_told_of(self) -> bool:
        """Take one from the strangers of this minute, if there is one left."""
        minute = int(time.monotonic() / 60)
        if minute != self._minute:
            self._minute, self._strangers = minute, 0
        self._strangers += 1
        return self._strangers <= STRANGERS

    async def tell(self, channel: Channel) -> None:
        """Send what waits, and what comes, to this controller. To be cancelled when its channel is lost."""
        self._ring()
        while True:
            await self._bell.wait()
            if not (self._traffic or self._sessions or self._sent):
                self._bell.clear()
                self._empty.set()
                continue
            full = self._sessions or self._sent or len(self._traffic) >= BATCH
            await asyncio.sleep(0 if full else GATHER)  # what else happens until then goes with it
            told = await self._tell_sessions(channel)
            if not (await self._tell_traffic(channel) and told):
                await asyncio.sleep(RETRY)

    async def _tell_sessions(self, channel: Channel) -> bool:
        """Send starts and ends of sessions; return whether the controller has them."""
        sessions = list(islice(self._sessions, BATCH))
        if not sessions:
            return True
        told = [_told(event, event_id) for event_id, event in sessions]
        try:
            await channel.call(EVENTS, {"sessions": told}, type(None))
        except Error:
            return False
        for _ in sessions:
            self._sessions.popleft()
        return True

    async def _tell_traffic(self, channel: Channel) -> bool:
        """Send the batch that nobody has confirmed, or the next; return whether the controller has it."""
        batch = self._sent = self._sent or self._next_traffic()
        if batch is None:
            return True
        again = batch.tries > 0
        batch.tries += 1
        try:
            args = {"traffic": batch.events, "batch": batch.name, "again": again}
            await channel.call(EVENTS, args, type(None))
        except Error:
            if batch.tries < TRIES:
                return False
            _log.error("%d events are given up: the control plane has not taken them", len(batch.events))
            self.dropped += len(batch.events)
        self._sent = None
        return True

    async def flush(self, timeout: float) -> None:
        """Wait until the controller has everything, at most some seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("not all events were handed over: %r", self)

    def save(self, path: Path) -> None:
        """Write down the starts and ends of sessions that were not handed over: the next service does it."""
        if not self._sessions:
            return
        told = [_told(event, event_id) for event_id, event in self._sessions]
        try:
            files.replace(path, msgspec.json.encode(told))
        except OSError as error:
            _log.warning("%s: cannot be written: %s", path, error.strerror)

    def load(self, path: Path) -> None:
        """Take what the service before wrote down."""
        try:
            told = msgspec.json.decode(path.read_bytes(), type=list[Told])
            for each in told[-SESSION_LIMIT:]:
                kind = AgentSessionStarted if each.type == SESSION_START else AgentSessionStopped
                self._sessions.append((each.id, msgspec.json.decode(each.event, type=kind)))
            path.unlink()
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("%s: cannot be read: %s", path, error)
        self._ring()

    def _ring(self) -> None:
        self._empty.clear()
        self._bell.set()

    def _next_traffic(self) -> _Batch | None:
        """Take as many traffic events as fit one message, each written by itself: one may not be writable."""
        batch: list[msgspec.Raw] = []
        size = 0
        while self._traffic and len(batch) < BATCH and size < BATCH_BYTES:
            event = self._traffic.popleft()
            try:
                written = _written(event)
            except (TypeError, ValueError, msgspec.MsgspecError):
                self.dropped += 1
                continue
            size += len(written)
            batch.append(msgspec.Raw(written))
        return _Batch(secrets.token_hex(16), batch) if batch else None


def _told(event: AgentSessionStarted | AgentSessionStopped, event_id: str) -> Told:
    return Told(TYPE_OF[type(event)], msgspec.Raw(_written(event)), event_id)


_written: Final = msgspec.json.Encoder(enc_hook=str).encode
