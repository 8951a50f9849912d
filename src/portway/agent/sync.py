"""The SDK without ``await``: the same agent, for scripts and threads.

    with portway.SyncAgent() as agent:
        forwarder = agent.forward("localhost:8080")
        print(forwarder.url)
        forwarder.wait()

All synchronous agents share one event loop in a daemon thread. It is started by the first call and
stopped when the program ends, after every agent has said goodbye, so that addresses are free at once.
The calls may come from any thread, except from a callback that runs on that loop: event handlers do,
and so must not call back. A process that was forked begins afresh: its agents have no session, and the
endpoints that its parent made are the parent's alone.
"""

import asyncio
import atexit
import io
import logging
import os
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar, Unpack

from portway.agent.agent import Agent
from portway.agent.checks import Duration, limit
from portway.agent.connection import Connection, peername
from portway.agent.diagnose import DiagnoseResult
from portway.agent.endpoint import Endpoint, EndpointListener
from portway.agent.forwarder import EndpointForwarder
from portway.agent.info import AgentSession
from portway.agent.options import AgentKeywords, EndpointKeywords, ListenKeywords, UpdateKeywords
from portway.agent.upstream import Upstream
from portway.agent.url import URL
from portway.net.loop import new_loop_factory
from portway.session.driver import LINGER

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from portway.agent.serve import App, Interface

T = TypeVar("T")
E = TypeVar("E", bound=Endpoint)

FAREWELL = 5.0
"""Most seconds that the agents' goodbyes may take when the program ends. They mostly take milliseconds."""
WIND_UP = 1.0
"""Most seconds that what a goodbye has left on the loop may take to end."""


class LoopThread:
    """An event loop in a daemon thread, started by its first use."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether the loop runs."""
        return self._loop is not None

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Run ``work`` on the loop and return what it returns. Ctrl-C cancels it.

        Raises RuntimeError when called on the loop itself: that could never end.
        """
        loop = self._start()
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a synchronous call from the agent's own event loop would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Stop the loop and wait for its thread. A later `run` starts a new one."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(FAREWELL + WIND_UP)

    def forget(self) -> None:
        """Leave what runs to the process that this one was forked from: its thread has not come along."""
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = new_loop_factory()()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="portway", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        while not _ran(loop):
            pass
    finally:
        loop.run_until_complete(_wind_up())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _ran(loop: asyncio.AbstractEventLoop) -> bool:
    """Run it; return False if a callback wanted to exit, which from a thread ends no program."""
    try:
        loop.run_forever()
    except SystemExit:
        _log.exception("a callback wants to exit: only the main thread can do that")
        return False
    return True


async def _wind_up() -> None:
    """End what still runs: a loop that is closed under its tasks and sockets complains of each.

    After a goodbye in time there is nothing. One that was cut short leaves a session that is closing;
    its socket is gone within the linger of the session.
    """
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=WIND_UP)
        await asyncio.sleep(2 * LINGER)


LOOP = LoopThread()
"""The one that all synchronous agents share."""

_agents: set["SyncAgent"] = set()
_log = logging.getLogger("portway.agent")


class SyncAgent:
    """An `Agent` whose calls wait for their result."""

    def __init__(self, **options: Unpack[AgentKeywords]) -> None:
        """Take the options of `Agent`; no network activity."""
        self.agent = Agent(**options)

    def __repr__(self) -> str:
        """Show the agent."""
        return f"<Sync{repr(self.agent)[1:]}"

    def connect(self, timeout: Duration | None = None) -> None:
        """Connect; see `Agent.connect`."""
        _agents.add(self)
        LOOP.run(self.agent.connect(timeout))

    def disconnect(self, *, drain: Duration = 0.0) -> None:
        """End the session and its endpoints; see `Agent.disconnect`."""
        _agents.discard(self)
        if LOOP.started:
            LOOP.run(self.agent.disconnect(drain=drain))

    @property
    def session(self) -> AgentSession:
        """Return the session; see `Agent.session`."""
        return self.agent.session

    @property
    def connected(self) -> bool:
        """Whether a session stands right now."""
        return self.agent.connected

    @property
    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints that stand; see `Agent.endpoints`."""
        return self.agent.endpoints

    def diagnose(self, addr: str = "", timeout: Duration | None = None) -> DiagnoseResult:
        """Test the way to the service; see `Agent.diagnose`."""
        return LOOP.run(self.agent.diagnose(addr, timeout))

    def listen(self, url: str = "", **options: Unpack[ListenKeywords]) -> "SyncListener":
        """Make an endpoint whose connections are taken one by one; see `Agent.listen`."""
        _agents.add(self)
        return SyncListener(LOOP.run(self.agent.listen(url, **options)))

    def forward(self, upstream: Upstream | str | int, **options: Unpack[EndpointKeywords]) -> "SyncForwarder":
        """Make an endpoint that forwards to ``upstream``; see `Agent.forward`."""
        _agents.add(self)
        return SyncForwarder(LOOP.run(self.agent.forward(upstream, **options)))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self.disconnect()


class SyncEndpoint(Generic[E]):
    """An endpoint whose calls wait for their result. ``endpoint`` is the asynchronous one."""

    def __init__(self, endpoint: E) -> None:
        """Made by `SyncAgent.listen` and `SyncAgent.forward` only."""
        self.endpoint = endpoint

    def __repr__(self) -> str:
        """Show the endpoint."""
        return f"<Sync{repr(self.endpoint)[1:]}"

    @property
    def url(self) -> URL:
        """Return where visitors reach it; may be called as well, ``url()``."""
        return self.endpoint.url

    @property
    def id(self) -> str:
        """Return the service's name for it."""
        return self.endpoint.id

    @property
    def protocol(self) -> str:
        """Return the scheme of its URL."""
        return self.endpoint.protocol

    @property
    def error(self) -> Exception | None:
        """Return why it ended; None while it stands and after an end of our own."""
        return self.endpoint.error

    def done(self) -> bool:
        """Return whether it has ended."""
        return self.endpoint.done()

    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; return whether it has."""
        within = limit(timeout)
        try:
            LOOP.run(asyncio.wait_for(self.endpoint.wait(), within))
        except TimeoutError:
            return False
        return True

    def update(self, **changes: Unpack[UpdateKeywords]) -> None:
        """Change it in place; see `Endpoint.update`."""
        LOOP.run(self.endpoint.update(**changes))

    def close(self, timeout: Duration | None = None) -> None:
        """Take it offline; see `Endpoint.close`."""
        LOOP.run(self.endpoint.close(timeout))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class SyncForwarder(SyncEndpoint[EndpointForwarder]):
    """An endpoint whose connections go to an upstream, in the background."""

    @property
    def upstream_url(self) -> URL:
        """Return where connections go, normalised."""
        return self.endpoint.upstream_url


class SyncListener(SyncEndpoint[EndpointListener]):
    """An endpoint whose connections the application takes one by one."""

    def accept(self, timeout: Duration | None = None) -> "SyncConnection":
        """Return the next visitor's connection.

        Raises TimeoutError after so many seconds, and what `EndpointListener.accept` raises.
        """
        return SyncConnection(LOOP.run(asyncio.wait_for(self.endpoint.accept(), limit(timeout))))

    def serve(self, app: "App", *, interface: "Interface" = "auto", threads: int = 16) -> None:
        """Serve an application until the endpoint ends; see `EndpointListener.serve`."""
        LOOP.run(self.endpoint.serve(app, interface=interface, threads=threads))


class SyncConnection:
    """A visitor's connection with the calls of a socket, as far as a byte stream has them."""

    def __init__(self, connection: Connection) -> None:
        """Made by `SyncListener.accept` only."""
        self.connection = connection
        self._timeout: float | None = None

    @property
    def remote_addr(self) -> str:
        """Return the visitor's ``ip:port``."""
        return self.connection.remote_addr

    def getpeername(self) -> tuple[str, int]:
        """Return the visitor's address and port."""
        return peername(self.connection.remote_addr)

    def settimeout(self, seconds: Duration | None) -> None:
        """Let `recv`, `send` and `sendall` raise TimeoutError after so many seconds; None: never."""
        self._timeout = limit(seconds)

    def gettimeout(self) -> float | None:
        """Return what `settimeout` was told."""
        return self._timeout

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes as soon as there are any, b"" at the visitor's end."""
        return LOOP.run(asyncio.wait_for(self._read(size), self._timeout))

    def recv_into(self, buffer: "WriteableBuffer", size: int = 0) -> int:
        """Receive into a buffer, at most ``size`` bytes (0: what it holds); return how many came."""
        view = memoryview(buffer).cast("B")
        data = self.recv(size or len(view))
        view[: len(data)] = data
        return len(data)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send all of it, as `sendall` does; return how many bytes that were."""
        self.sendall(data)
        return len(memoryview(data).cast("B"))

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of it; returns when most of it is under way."""
        LOOP.run(asyncio.wait_for(self._send(data), self._timeout))

    def makefile(self) -> io.BufferedRWPair:
        """Return a binary file that reads and writes here; write with ``flush``. It does not close us."""
        raw = _File(self)
        return io.BufferedRWPair(raw, raw)

    def shutdown(self, how: int) -> None:
        """End our direction for SHUT_WR, both for SHUT_RDWR; SHUT_RD changes nothing."""
        if how == socket.SHUT_WR:
            LOOP.run(self._end())
        elif how == socket.SHUT_RDWR:
            self.close()

    def close(self) -> None:
        """Send what was written, then end it."""
        LOOP.run(self.connection.close())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    async def _read(self, size: int) -> bytes:
        return await self.connection.reader.read(size)

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        self.connection.writer.write(data)
        await self.connection.writer.drain()

    async def _end(self) -> None:
        self.connection.writer.write_eof()


class _File(io.RawIOBase):
    """A connection as an unbuffered file."""

    def __init__(self, connection: SyncConnection) -> None:
        super().__init__()
        self._connection = connection

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        return self._connection.recv_into(buffer)

    def write(self, data: "ReadableBuffer", /) -> int:
        return self._connection.send(bytes(data))


@atexit.register
def farewell() -> None:
    """Disconnect every synchronous agent and stop their loop: the program ends."""
    if not LOOP.started:
        return
    try:
        LOOP.run(asyncio.wait_for(_disconnect_all(), FAREWELL))
    except TimeoutError:
        pass  # the service will notice by itself
    _agents.clear()
    LOOP.stop()


def _forked() -> None:
    _agents.clear()
    LOOP.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


async def _disconnect_all() -> None:
    await asyncio.gather(*(each.agent.disconnect() for each in _agents))
