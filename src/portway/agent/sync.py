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
import errno
import io
import os
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, cast

from portway.agent.agent import Agent
from portway.agent.checks import Duration, limit
from portway.agent.connection import Connection, peername
from portway.agent.diagnose import DiagnoseResult
from portway.agent.endpoint import Endpoint, EndpointAddr, EndpointListener
from portway.agent.forwarder import EndpointForwarder
from portway.agent.info import AgentSession
from portway.agent.loop_thread import FAREWELL, LOOP
from portway.agent.options import AgentKeywords, EndpointKeywords, ListenKeywords, UpdateKeywords
from portway.agent.upstream import ProxyProtocol, Upstream
from portway.agent.url import URL

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from portway.agent.serve import App, Interface

E = TypeVar("E", bound=Endpoint)

_agents: set["SyncAgent"] = set()


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
    def name(self) -> str:
        """Return the name given, or ""."""
        return self.endpoint.name

    @property
    def description(self) -> str:
        """Return the description given, or ""."""
        return self.endpoint.description

    @property
    def metadata(self) -> str:
        """Return the application's own text, or ""."""
        return self.endpoint.metadata

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels by which an edge finds it."""
        return self.endpoint.labels

    @property
    def bindings(self) -> tuple[str, ...]:
        """Return the bindings asked for."""
        return self.endpoint.bindings

    @property
    def pooling_enabled(self) -> bool:
        """Return whether it may share its URL."""
        return self.endpoint.pooling_enabled

    @property
    def traffic_policy(self) -> str:
        """Return the text of its traffic policy, or ""."""
        return self.endpoint.traffic_policy

    @property
    def proxy_protocol(self) -> ProxyProtocol | None:
        """Return the version of the PROXY header, None for none."""
        return self.endpoint.proxy_protocol

    @property
    def agent_tls_termination(self) -> ssl.SSLContext | None:
        """Return the TLS context with which this agent ends visitors' TLS."""
        return self.endpoint.agent_tls_termination

    @property
    def created_at(self) -> datetime:
        """Return when it was bound first; aware, UTC."""
        return self.endpoint.created_at

    @property
    def updated_at(self) -> datetime:
        """Return when it was changed last."""
        return self.endpoint.updated_at

    @property
    def tunnel_session_id(self) -> str:
        """Return the id of the session that created it."""
        return self.endpoint.tunnel_session_id

    @property
    def tunnel_id(self) -> str:
        """Return the id under which the service's API lists it as a tunnel."""
        return self.endpoint.tunnel_id

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

    @property
    def upstream_protocol(self) -> str:
        """Return what is spoken to the upstream."""
        return self.endpoint.upstream_protocol

    @property
    def upstream_tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context that the `Upstream` was given, or None."""
        return self.endpoint.upstream_tls_context

    def update_upstream(self, upstream: Upstream | str | int) -> None:
        """Forward new connections to another upstream; see `EndpointForwarder.update_upstream`."""
        self.endpoint.update_upstream(upstream)


class SyncListener(SyncEndpoint[EndpointListener]):
    """An endpoint whose connections the application takes one by one."""

    @property
    def addr(self) -> EndpointAddr:
        """Return the address that it listens on."""
        return self.endpoint.addr

    def accept(self, timeout: Duration | None = None) -> "SyncConnection":
        """Return the next visitor's connection.

        Raises TimeoutError after so many seconds, and what `EndpointListener.accept` raises.
        """
        within = limit(timeout)
        return SyncConnection(LOOP.run(asyncio.wait_for(self.endpoint.accept(), within)))

    def serve(self, app: "App", *, interface: "Interface" = "auto", threads: int = 16) -> None:
        """Serve an application until the endpoint ends; see `EndpointListener.serve`."""
        LOOP.run(self.endpoint.serve(app, interface=interface, threads=threads))


class SyncConnection:
    """A visitor's connection with the calls of a socket, as far as a byte stream has them."""

    def __init__(self, connection: Connection) -> None:
        """Made by `SyncListener.accept` only."""
        self.connection = connection
        self._timeout: float | None = None
        self._ended = False

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
        if size < 0:
            raise ValueError("negative size in recv")
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

    def makefile(
        self,
        mode: str = "rwb",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Return a file that reads or writes here, as that of a socket; it does not close us.

        Unlike a socket's it is binary and goes both ways unless ``mode`` says otherwise. What is written
        goes out with ``flush``.
        """
        return make_file(_File(self), mode, buffering, encoding, errors, newline)

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
        writer = self.connection.writer
        if self._ended:
            raise BrokenPipeError(errno.EPIPE, "our direction was shut down")
        writer.write(data)
        await writer.drain()

    async def _end(self) -> None:
        self._ended = True
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


def make_file(
    raw: io.RawIOBase,
    mode: str,
    buffering: int | None,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> IO[Any]:
    """Put the buffers and the decoder around it that `socket.makefile` would."""
    if not set(mode) <= {"r", "w", "b"} or not set(mode) & {"r", "w"}:
        raise ValueError(f"invalid mode {mode!r}: only r, w and b are understood")
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("unbuffered streams must be binary")
        return cast("IO[Any]", raw)
    size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
    file: io.BufferedRWPair | io.BufferedReader | io.BufferedWriter
    if "r" in mode and "w" in mode:
        file = io.BufferedRWPair(raw, raw, size)
    else:
        file = io.BufferedReader(raw, size) if "r" in mode else io.BufferedWriter(raw, size)
    if "b" in mode:
        return cast("IO[Any]", file)
    return io.TextIOWrapper(cast("IO[bytes]", file), encoding, errors, newline)


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
