"""Endpoints as an application holds them, and the one that delivers visitors' connections.

An endpoint outlives its session: it is bound again, with the id and the token of the first answer,
whenever the agent has a new one. It ends once, by `Endpoint.close`, by the agent's disconnect, by the
service (StopTunnel) or when the agent may not connect any more; from then on ``done()`` is true and
``error`` says why, None for our own doing.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from portway.agent.bound import Bound
from portway.agent.checks import Duration, expect, expect_text, limit
from portway.agent.connection import Connection, open_connection
from portway.agent.labels import LABELED
from portway.agent.upstream import ProxyProtocol
from portway.agent.url import URL
from portway.errors import Error, ListenerClosed
from portway.pipe import Pipe, Sink
from portway.wire.messages import Patch, ProxyHeader

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.serve import App, Interface

GRACE = 10.0
"""Seconds that requests under way may take when serving ends, unless said otherwise."""
BACKLOG = 128
"""Connections that may wait for `EndpointListener.accept`; the service is refused further ones."""
QUEUE_FULL = 9
"""The wire's reset code for a connection that nobody accepts (docs/spec/wire.md, Error codes)."""


class Endpoint:
    """A URL on which the service takes visitors for this agent."""

    def __init__(self, bound: Bound) -> None:
        """Made by `Agent.listen` and `Agent.forward` only."""
        self._bound = bound
        self._url = URL(bound.answer.url)
        self._created_at = self._updated_at = datetime.now(UTC)
        bound.endpoint = self

    # -- what it is

    @property
    def agent(self) -> "Agent":
        """Return the agent that made it."""
        return self._bound.agent

    @property
    def id(self) -> str:
        """Return the service's name for it. With labels a reconnect may change it."""
        return self._bound.answer.id

    @property
    def url(self) -> URL:
        """Return where visitors reach it, the assigned host and port included; empty with labels."""
        return self._url

    @property
    def protocol(self) -> str:
        """Return the scheme of its URL: http, https, tcp or tls; "labeled" with labels."""
        return LABELED if self.labels else self._url.scheme

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels by which an edge finds it; a copy, empty for an endpoint of its own."""
        return dict(self._bound.options.labels)

    @property
    def name(self) -> str:
        """Return the name given, or ""."""
        return self._bound.options.name

    @property
    def description(self) -> str:
        """Return the description given, or ""."""
        return self._bound.options.description

    @property
    def metadata(self) -> str:
        """Return the application's own text, or ""."""
        return self._bound.options.metadata

    @property
    def bindings(self) -> tuple[str, ...]:
        """Return the bindings asked for; empty when none were given."""
        return self._bound.options.bindings

    @property
    def pooling_enabled(self) -> bool:
        """Return whether it may share its URL with other endpoints."""
        return self._bound.options.pooling_enabled

    @property
    def traffic_policy(self) -> str:
        """Return the text of its traffic policy, or ""."""
        return self._bound.options.traffic_policy

    @property
    def proxy_protocol(self) -> ProxyProtocol | None:
        """Return the version of the PROXY header ahead of every connection's bytes, None for none."""
        return self._bound.options.proxy_protocol

    @property
    def agent_tls_termination(self) -> ssl.SSLContext | None:
        """Return the TLS context with which this agent ends visitors' TLS, None if it does not."""
        return self._bound.options.agent_tls_termination

    @property
    def created_at(self) -> datetime:
        """Return when it was bound first; aware, UTC."""
        return self._created_at

    @property
    def updated_at(self) -> datetime:
        """Return when it was changed last; ``created_at`` if never."""
        return self._updated_at

    @property
    def tunnel_session_id(self) -> str:
        """Return the id of the session that created it; a reconnect does not change it."""
        return self._bound.session_id

    @property
    def tunnel_id(self) -> str:
        """Return the id under which the service's API lists it as a tunnel."""
        return self._bound.answer.extra.tunnel_id

    def __repr__(self) -> str:
        """Show the URL, the id and whether it is over."""
        return f"<{type(self).__name__} {self._bound.where} {self.id}{' done' if self.done() else ''}>"

    # -- changing it

    async def update(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        metadata: str | None = None,
        traffic_policy: str | None = None,
        pooling_enabled: bool | None = None,
        timeout: Duration | None = None,
    ) -> None:
        """Change it in place: connections go on, the URL stays. What is None stays as it is.

        While the agent reconnects it waits for the session, at most ``timeout`` seconds in all (None: as
        long as it takes). Raises `Error` when the service refuses, `ListenerClosed` when the endpoint has
        ended, `SessionClosed` when the session was lost on the way, TimeoutError. In these cases the
        endpoint keeps what it had: whatever the service understood, the next rebind says so again.
        `ConfigError` for an endpoint with labels: its edge has all this. `NotConnected` on another event
        loop than its agent's.
        """
        given = {
            "name": name,
            "description": description,
            "metadata": metadata,
            "traffic_policy": traffic_policy,
        }
        for what, text in given.items():
            if text is not None:
                expect_text(text, what)
        within = limit(timeout)
        self._bound.check_loop()
        expect(pooling_enabled, bool, "pooling_enabled")
        changes: dict[str, Any] = {what: text for what, text in given.items() if text is not None}
        if pooling_enabled is not None:
            changes["pooling_enabled"] = pooling_enabled
        if changes:
            async with asyncio.timeout(within):
                await self._bound.change(replace(self._bound.options, **changes), Patch(**changes))
            self._updated_at = max(datetime.now(UTC), self._updated_at)

    # -- its end

    @property
    def error(self) -> Exception | None:
        """Return why it ended; None while it stands and after an end of our own."""
        return self._bound.error

    def done(self) -> bool:
        """Return whether it has ended, for whatever reason."""
        return self._bound.over.is_set()

    async def wait(self) -> None:
        """Wait until it has ended, for whatever reason. Cancelling leaves it as it is.

        Raises `NotConnected` on another event loop than its agent's.
        """
        self._bound.check_loop()
        await self._bound.over.wait()

    async def close(self, timeout: Duration | None = None) -> None:
        """Take it offline. Idempotent.

        It ends at once on our side: nothing more is accepted, running connections go on. Then the
        call waits for the service's answer, at most ``timeout`` seconds (None: until the session
        ends). Raises TimeoutError, or `Error` if the service objects; it has ended all the same, and
        so it has when the call is cancelled. Raises `NotConnected` on another event loop than its agent's,
        and then nothing has changed.
        """
        within = limit(timeout)
        if self.done():
            return
        self._bound.check_loop()
        self._bound.finish(None)
        async with asyncio.timeout(within):
            await self._bound.unbind(self._bound)

    async def aclose(self) -> None:
        """Close it; the name that ``contextlib.aclosing`` wants."""
        await self.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()


@dataclass(frozen=True, slots=True)
class EndpointAddr:
    """Where a listener listens. ``str()`` is the host of its URL, with the port if that shows one."""

    host: str
    network: str = "tcp"

    def __str__(self) -> str:
        """Return the host."""
        return self.host


class EndpointListener(Endpoint):
    """An endpoint whose connections the application takes one by one."""

    def __init__(self, bound: Bound) -> None:
        """Made by `Agent.listen` only."""
        super().__init__(bound)
        self._ready: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        bound.serve(self._take, self._ended)

    @property
    def addr(self) -> EndpointAddr:
        """Return the address that it listens on."""
        return EndpointAddr(self._url.host)

    async def accept(self) -> Connection:
        """Return the next visitor's connection. Several tasks may accept at the same time.

        Raises `ListenerClosed` once the endpoint was closed here, and the service's `Error` when the
        service ended it, `NotConnected` on another event loop than its agent's. Cancelling loses no
        connection.
        """
        self._bound.check_loop()
        while not self._ready:
            if self.done():
                raise self._reason()
            await self._wait_for_one()
        return self._ready.popleft()

    async def serve(
        self,
        app: "App",
        *,
        interface: "Interface" = "auto",
        threads: int = 16,
        grace: Duration = GRACE,
    ) -> None:
        """Serve an application to the visitors until the endpoint ends (`portway.agent.serve`).

        ``app`` is an ASGI or a WSGI application, or ``async def app(reader, writer)``, each known by its
        arguments or by ``interface``: "asgi", "wsgi", "streams". A WSGI application answers so many
        requests at a time as there are ``threads``. When the endpoint ends, requests under way have
        ``grace`` seconds to finish.

        Returns after `close`, raises the service's `Error` when the service ended the endpoint,
        `ConfigError` for an application that cannot be served here, and what a failing startup raises.
        Cancelled, it stops accepting and gives what runs its grace; the endpoint stays online.
        """
        from portway.agent.serve import serve_listener  # only who serves needs it

        await serve_listener(self, app, interface, threads, limit(grace, "grace"))

    def __aiter__(self) -> Self:
        """Iterate over the visitors' connections until the endpoint is closed."""
        return self

    async def __anext__(self) -> Connection:
        """Return the next connection. Raises the service's `Error` when the service ended it."""
        try:
            return await self.accept()
        except ListenerClosed:
            raise StopAsyncIteration from None

    def _reason(self) -> Exception:
        error = self.error
        if isinstance(error, Error):
            return Error(error.message, error.code)  # fresh: one that is raised again keeps old frames
        return ListenerClosed(f"{self._bound.where} is closed" + (f": {error}" if error else ""))

    async def _wait_for_one(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake()  # we were woken and cancelled in the same tick: pass it on
            raise

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():  # a cancelled one stays in the queue until its turn
                waiter.set_result(None)
                return

    def _take(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        if len(self._ready) >= BACKLOG:
            pipe.abort(QUEUE_FULL)
            return None
        connection, sink = open_connection(self, header, pipe)
        self._ready.append(connection)
        self._wake()
        return sink

    def _ended(self) -> None:
        while self._waiters:
            self._wake()
        for connection in self._ready:
            connection.abort()
        self._ready.clear()
