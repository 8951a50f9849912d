"""What the courier of events sends with, joined to this process; and what it is told by the data plane."""

import asyncio
import hashlib
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from portway.control.events.delivery import Time
from portway.control.events.sending import ANSWER_LIMIT, Reply, Undelivered
from portway.control.ports import Delivered
from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    HttpRequestComplete,
    TcpConnectionClosed,
)
from portway.model.event_target import Target
from portway.model.event_types import SESSION_START, SESSION_STOP
from portway.model.guard import Guard
from portway.net.output import Output
from portway.net.web_client import WebClient, WebFailure, WebRequest
from portway.server.channel import arguments, away
from portway.server.event_feed import EVENTS, FLUSH_EVENTS, Told
from portway.server.log_wire import LogWire

if TYPE_CHECKING:
    from portway.control.events.courier import Courier
    from portway.control.service.context import Context
    from portway.control.service.settings import Settings

FOLDER: Final = "events"
"""Folder of the data folder in which the files of destinations are."""

SPOOL: Final = "spool"
"""Folder of the data folder in which traffic events wait for durable destinations, and what was counted."""

STANDARD_OUTPUT: Final = 1
START: Final = 8.0
"""Seconds that the courier may take until it is there."""
COURIER: Final = "portway.control.events.courier"

_SESSIONS: Final[Mapping[str, type[AgentSessionStarted | AgentSessionStopped]]] = {
    SESSION_START: AgentSessionStarted,
    SESSION_STOP: AgentSessionStopped,
}

_log = logging.getLogger(__name__)


class Batch(msgspec.Struct):
    """Events of the data plane."""

    sessions: list[Told] = []
    traffic: list[HttpRequestComplete | TcpConnectionClosed] = []
    batch: str = ""
    """Names these traffic events: the same when they are sent again."""
    again: bool = False


class WebPoster:
    """Posts by the guarded client: to loopback, metadata services and our own listeners only if allowed."""

    def __init__(self, client: WebClient) -> None:
        """Take the client."""
        self._client = client

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:
        """Post and return the answer. Raises Undelivered."""
        wanted = WebRequest("POST", url, tuple(headers.items()), body, timeout, ANSWER_LIMIT)
        try:
            return await self._client.request(wanted)
        except WebFailure as error:
            raise Undelivered(f"The request failed: {error.message}") from error


class EventOffice:
    """The courier of this process, once it is there: its parts are loaded when the service accepts."""

    def __init__(self) -> None:
        """Have no courier yet."""
        self._ready = asyncio.Event()
        self._courier: Courier | None = None

    def __repr__(self) -> str:
        """Show the courier."""
        return f"<EventOffice {self._courier!r}>"

    async def run(self, context: "Context", client: WebClient, data_dir: Path) -> None:
        """Deliver, for ever. What a crash leaves undone is done by the next controller."""
        await asyncio.to_thread(import_module, COURIER)
        from portway.control.events.courier import Courier
        from portway.control.events.senders import Tools

        tools = Tools(
            WebPoster(client),
            Output(STANDARD_OUTPUT),
            data_dir / FOLDER,
            time.time,
            LogWire(guard_of(context.settings)),
            socket.gethostname(),
        )
        clock = Time(time.time, asyncio.sleep, random.random)
        self._courier = Courier(context, tools, clock, _holder(data_dir), data_dir / SPOOL)
        self._ready.set()
        try:
            await self._courier.run()
        finally:
            await client.close()

    def state(self, destination_id: str, kind: str) -> Delivered:
        """Say how a destination fares."""
        return Delivered() if self._courier is None else self._courier.state(destination_id, kind)

    def states(self) -> dict[str, Delivered]:
        """Say how every destination fares."""
        return {} if self._courier is None else self._courier.states()

    async def test(self, account_id: str, destination_id: str, target: Target) -> str:
        """Send one event; return its identifier. Raises Error 5132."""
        return await (await self._when_ready()).test(account_id, destination_id, target)

    async def take(self, args: msgspec.Raw) -> None:
        """Hand a batch of the data plane to the courier. Raises Error."""
        courier = await self._when_ready()
        batch = arguments(args, Batch)
        for each in batch.sessions:
            kind = _SESSIONS.get(each.type)
            if kind is not None:
                await courier.take_session(msgspec.json.decode(each.event, type=kind), each.id)
        await courier.take(batch.traffic, batch.batch.encode(), again=batch.again)

    async def flush(self, _args: msgspec.Raw) -> None:
        """Wait until what waits is sent, for some seconds. Raises Error."""
        if self._courier is not None:
            await self._courier.flush()

    def table(self) -> dict[str, Callable[[msgspec.Raw], Awaitable[object]]]:
        """Return the requests of the data plane that are answered here."""
        return {EVENTS: self.take, FLUSH_EVENTS: self.flush}

    async def _when_ready(self) -> "Courier":
        try:
            async with asyncio.timeout(START):
                await self._ready.wait()
        except TimeoutError:
            raise away() from None
        assert self._courier is not None
        return self._courier


def _holder(data_dir: Path) -> str:
    """Say who this service is among those that share a store: the same after a restart."""
    return hashlib.blake2b(
        f"{socket.gethostname()} {data_dir.resolve()}".encode(), digest_size=16
    ).hexdigest()


def guard_of(settings: "Settings") -> Guard:
    """Return the guard of the controller's requests: what the service was told of itself."""
    host = settings.listeners[1][0] if len(settings.listeners) > 1 else "127.0.0.1"
    own = [*settings.listeners, *((host, port) for port in settings.tcp_ports)]
    return Guard(settings.outgoing_allow, own=own)
