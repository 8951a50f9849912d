"""The agent as a library: connect to a service, make endpoints, forward to upstreams.

    async with Agent() as agent:
        forwarder = await agent.forward("localhost:8080")
        print(forwarder.url)
        await forwarder.wait()

Nothing happens on the network before the first `connect`, `listen` or `forward`. An agent belongs to
the event loop on which it connected; when that loop ends, so does its session, and the agent may be
used afresh on another. A process that was forked has none of its parent's sessions either.
"""

import asyncio
import logging
import os
import random
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from portway.agent.checks import Duration, expect, expect_mapping, expect_text, limit
from portway.agent.diagnose import DiagnoseResult, diagnose
from portway.agent.dialer import Dialer
from portway.agent.discovery import discover
from portway.agent.emitter import Emitter
from portway.agent.endpoint import Endpoint, EndpointListener
from portway.agent.events import EventHandler, read_handlers
from portway.agent.forwarder import EndpointForwarder, tls_context
from portway.agent.info import AgentSession
from portway.agent.labels import Labels
from portway.agent.options import (
    HEARTBEAT_INTERVAL,
    HEARTBEAT_TOLERANCE,
    AgentOptions,
    ClientInfo,
    Proto,
    TLSConfig,
    app_address,
    endpoint_options,
    read_infos,
    seconds,
)
from portway.agent.reconnect import Keeper, is_final
from portway.agent.resume import Resumption
from portway.agent.rpc import RPCHandler, RPCMethod
from portway.agent.termination import TLSTermination
from portway.agent.upstream import ProxyProtocol, Upstream, read_proxy_protocol, resolve, spec_of
from portway.errors import AlreadyConnected, ConfigError, ConnectError, Error, NotConnected, PortwayError
from portway.net.backoff import Backoff
from portway.paths import bootstrap_file, default_data_dir


class Agent:
    """One agent: an account's token, at most one session at a time, any number of endpoints."""

    def __init__(
        self,
        *,
        authtoken: str | None = None,
        connect_url: str | None = None,
        connect_cas: str | bytes | Path | ssl.SSLContext | None = None,
        proxy_url: str | None = None,
        metadata: str = "",
        description: str = "",
        heartbeat_interval: Duration = HEARTBEAT_INTERVAL,
        heartbeat_tolerance: Duration = HEARTBEAT_TOLERANCE,
        connect_timeout: Duration = 0,
        auto_connect: bool = True,
        client_info: ClientInfo | Sequence[ClientInfo] = (),
        event_handlers: Iterable[EventHandler] = (),
        rpc_handler: RPCHandler | None = None,
        rpc_unsupported: Mapping[RPCMethod, str] | None = None,
        resume: Resumption | None = None,
        logger: logging.Logger | None = None,
        dialer: Dialer | None = None,
        tls_config: TLSConfig | None = None,
        multi_leg: bool = False,
        region: str = "",
    ) -> None:
        """Take the options; no network activity.

        ``connect_url`` is the service's ``host:port``; ``connect_cas`` the authorities that its
        certificate must chain to, a PEM file or PEM bytes, "host" for those of this machine, "trusted" for
        what holds when nothing is said, or a whole ``ssl.SSLContext``. What is None comes from the
        environment or from a service of the same user (`portway.agent.discovery`), at the time of
        connecting. These options mean the same in a configuration file (docs/reference/config.md).

        ``proxy_url``, ``scheme://[user:password@]host[:port]``, names a proxy through which the service
        is reached: http and https (by CONNECT) or socks5; "" means none. An https proxy's own certificate
        is verified with the authorities of this machine. A wrong URL is a `ConfigError` of `connect`.

        ``metadata`` and ``description`` are shown beside the session in the service's API. Times are
        seconds: a session without an answer for heartbeat interval + tolerance is given up, and an attempt
        to connect after ``connect_timeout`` (0: 10 for the dial and 15 for the rest). ``auto_connect`` lets
        `listen` and `forward` connect. ``client_info`` names the programs that use this agent, the
        outermost first. Event handlers are called inline (`portway.agent.events`).

        ``rpc_handler`` is asked when the service wants the agent to stop, restart or update itself
        (`portway.agent.rpc`); ``rpc_unsupported`` says for methods that it does not take why. ``resume``
        is what an agent of another process handed on (`resumption`): session and endpoints continue.

        ``dialer`` makes every connection to the service, or to its proxy (`portway.agent.dialer`).
        ``tls_config`` is called with the `ssl.SSLContext` for the service before each connection, and may
        change it or return another. ``multi_leg`` opens a session to every address that the service
        names, so that the loss of one leaves the others serving (`portway.agent.further`). ``region`` "eu"
        makes ``connect.eu.example.com`` of ``connect.example.com``. Records go to ``logger``.

        Raises `ConfigError` for a value that no service could accept or that is of a wrong type.
        """
        handlers = read_handlers(event_handlers)
        expect_mapping(rpc_unsupported, "rpc_unsupported")
        expect(logger, logging.Logger | logging.LoggerAdapter, "logger")
        self.options = AgentOptions(
            authtoken=authtoken,
            connect_url=connect_url,
            connect_cas=connect_cas,
            proxy_url=proxy_url,
            metadata=metadata,
            description=description,
            heartbeat_interval=seconds(heartbeat_interval, HEARTBEAT_INTERVAL, "heartbeat_interval"),
            heartbeat_tolerance=seconds(heartbeat_tolerance, HEARTBEAT_TOLERANCE, "heartbeat_tolerance"),
            connect_timeout=seconds(connect_timeout, 0.0, "connect_timeout") or None,
            auto_connect=auto_connect,
            client_info=read_infos(client_info),
            rpc_handler=rpc_handler,
            rpc_unsupported=dict(rpc_unsupported or {}),
            resume=resume,
            dialer=dialer,
            tls_config=tls_config,
            multi_leg=multi_leg,
            region=region,
        )
        self.logger = logger or logging.getLogger("portway.agent")
        self._emitter = Emitter(self, handlers, self.logger)
        self._keeper: Keeper | None = None

    def __repr__(self) -> str:
        """Show the session and the number of endpoints."""
        keeper = self._life
        if keeper is None or keeper.session is None:
            return "<Agent not connected>"
        state = "" if keeper.connected else " reconnecting"
        return f"<Agent {keeper.session.id}{state} endpoints={len(keeper.table)}>"

    # -- session

    async def connect(self, timeout: Duration | None = None) -> None:
        """Connect to the service and authenticate.

        Without a timeout one attempt is made. With one, in seconds or as a timedelta, failures to reach the
        service are repeated, backing off, until it has passed; ``math.inf`` repeats for ever. A refusal that
        cannot heal is raised at once in any case.

        Raises `Error` when the service refuses, `ConnectError` when it cannot be reached,
        `ConfigError` when no service is known or the proxy's URL is wrong, `AlreadyConnected`. Calls at
        the same time share one attempt. When cancelled, nothing stays open unless another call still
        waits.
        """
        if self._established() is not None:
            raise AlreadyConnected("the agent is already connected")
        if timeout is None:
            await self._connect()
        else:
            await self._connect_until(limit(timeout))

    async def disconnect(self, *, drain: Duration = 0.0) -> None:
        """End the session; all its endpoints end first. Idempotent.

        With ``drain``, no more visitors are taken and running connections may finish within so many
        seconds; what still runs then is cut, as it is when the call is cancelled.

        Raises `NotConnected` on another event loop than that of the session.
        """
        within = seconds(drain, 0.0, "drain")
        keeper = self._keeper
        if keeper is not None and keeper.ours:
            _same_loop(keeper)
            self._keeper = None
            try:
                if within > 0:
                    await keeper.drain(within)
            finally:
                await keeper.close()

    @property
    def session(self) -> AgentSession:
        """Return the current session; while reconnecting the one that was lost.

        Raises `NotConnected` before the first connect and after the end.
        """
        keeper = self._life
        if keeper is None or keeper.session is None:
            raise NotConnected("the agent is not connected")
        return keeper.session

    @property
    def connected(self) -> bool:
        """Whether a session stands right now."""
        return self._life is not None and self._life.connected

    def resumption(self) -> Resumption | None:
        """Return what another process needs to come back as this agent; None without a session.

        It holds secrets. Take it in the handler of RestartAgent: the session that ends after it leaves
        the endpoints' names to who resumes them.
        """
        return None if self._keeper is None else self._keeper.resumption()

    @property
    def connect_url(self) -> str:
        """Return the service's ``host:port`` as far as it is known now, else ""."""
        try:
            return str(discover(self.options, os.environ, bootstrap_file(default_data_dir())))
        except ConfigError:
            return ""

    async def diagnose(self, addr: str = "", timeout: Duration | None = None) -> DiagnoseResult:
        """Test the way to the service step by step; see `portway.agent.diagnose`.

        ``addr`` is the ``host:port`` to test, "" the configured one. ``timeout`` is in seconds, for all of
        it; without one the steps have those of a connect. Nobody authenticates, and a session that
        stands is left alone. Raises `DiagnoseFailure`, whose ``step`` says what failed, and `ConfigError`
        when no service is known. When cancelled, nothing stays open.
        """
        expect_text(addr, "addr")
        within = limit(timeout)
        service = discover(self.options, os.environ, bootstrap_file(default_data_dir()), at=addr)
        return await diagnose(service, self.options, within)

    async def __aenter__(self) -> Self:
        """Return itself; the connection is made by the first call that needs it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self.disconnect()

    # -- endpoints

    @property
    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints that stand, oldest first; a copy."""
        return [] if self._life is None else [bound.endpoint for bound in self._life.table]

    async def listen(
        self,
        url: str = "",
        *,
        proto: Proto | None = None,
        name: str = "",
        description: str = "",
        metadata: str = "",
        bindings: str | Sequence[str] = (),
        pooling_enabled: bool = False,
        traffic_policy: str = "",
        proxy_protocol: ProxyProtocol | str | int | None = None,
        agent_tls_termination: ssl.SSLContext | TLSTermination | None = None,
        modules: Mapping[str, object] | None = None,
        labels: Labels | None = None,
    ) -> EndpointListener:
        """Make an endpoint whose connections are taken with `EndpointListener.accept`.

        ``url`` may be empty (a random https URL), a scheme (``tcp://``: random of that protocol), a
        host (https) or a whole URL; ``proto`` says the scheme where the URL has none. ``bindings`` is
        "public", "internal" or "kubernetes". ``traffic_policy`` is YAML or JSON text. With
        ``proxy_protocol`` the first bytes of each connection are a PROXY header.
        ``agent_tls_termination`` ends visitors' TLS here, on tls and tcp endpoints: a server's
        ``ssl.SSLContext``, or a `TLSTermination` of PEM files; the service sees ciphertext alone.

        ``labels`` make it the endpoint of an edge, which has the URL and everything else but ``metadata``
        (`portway.agent.labels`): "edge:edgtcp_…", or a mapping.

        ``modules`` are the options of older agents, spelled as on the wire (docs/spec/wire.md, Opts); the
        service turns them into rules of a traffic policy. New programs say ``traffic_policy``.

        Raises what `connect` raises, `Error` when the service refuses the endpoint, `NotConnected`
        when there is no session and ``auto_connect`` is off. When cancelled, no endpoint is left.
        """
        options = endpoint_options(
            url,
            proto=proto,
            name=name,
            description=description,
            metadata=metadata,
            bindings=bindings,
            pooling_enabled=pooling_enabled,
            traffic_policy=traffic_policy,
            proxy_protocol=read_proxy_protocol(proxy_protocol),
            agent_tls_termination=agent_tls_termination,
            modules=modules,
            labels=labels,
        )
        keeper = await self._ready()
        return await keeper.bind(EndpointListener, options, options.bind(app_address()))

    async def forward(
        self,
        upstream: Upstream | str | int,
        *,
        url: str = "",
        proto: Proto | None = None,
        name: str = "",
        description: str = "",
        metadata: str = "",
        bindings: str | Sequence[str] = (),
        pooling_enabled: bool = False,
        traffic_policy: str = "",
        agent_tls_termination: ssl.SSLContext | TLSTermination | None = None,
        modules: Mapping[str, object] | None = None,
        labels: Labels | None = None,
    ) -> EndpointForwarder:
        """Make an endpoint that forwards each connection to ``upstream`` until it is closed.

        ``upstream`` is an `Upstream`, or an address where no option of it is needed. The others are
        as in `listen`, and so is what is raised; in addition `ConfigError` for an upstream that makes
        no sense on this endpoint, before any network activity.
        """
        to = upstream if isinstance(upstream, Upstream) else Upstream(upstream)
        options = endpoint_options(
            url,
            proto=proto,
            name=name,
            description=description,
            metadata=metadata,
            bindings=bindings,
            pooling_enabled=pooling_enabled,
            traffic_policy=traffic_policy,
            proxy_protocol=spec_of(to).proxy_protocol,
            agent_tls_termination=agent_tls_termination,
            modules=modules,
            labels=labels,
        )
        target = resolve(to, options.scheme)
        context = tls_context(target)
        keeper = await self._ready()
        request = options.bind(str(target.url), target.spec.protocol)
        return await keeper.bind(lambda bound: EndpointForwarder(bound, target, context), options, request)

    def add_event_handler(self, handler: EventHandler) -> None:
        """Call this handler too, from the next event on. Raises `ConfigError` for what is no handler."""
        self._emitter.handlers += read_handlers([handler])

    # -- inside

    @property
    def _life(self) -> Keeper | None:
        """Return the life that stands or begins; None when it is over, or another process's."""
        keeper = self._keeper
        return keeper if keeper is not None and keeper.ours and not keeper.over else None

    def _established(self) -> Keeper | None:
        """Return the life that stands, on this loop. Raises `NotConnected` if it is another loop's."""
        keeper = self._life
        if keeper is None or not keeper.established:
            return None
        _same_loop(keeper)
        return keeper

    async def _ready(self) -> Keeper:
        """Return the life in which endpoints are made; connect first if that is allowed."""
        keeper = self._established()
        if keeper is None:
            if not self.options.auto_connect:
                raise NotConnected("the agent is not connected: call connect() first")
            await self._connect()
            keeper = self._established()
        if keeper is None:
            raise NotConnected("the agent was disconnected while it connected")
        return keeper

    async def _connect(self) -> None:
        """Make one attempt, or share the one under way."""
        keeper = self._keeper
        if keeper is None or keeper.over or keeper.loop is not asyncio.get_running_loop():
            keeper = self._keeper = Keeper(self, self.options, self._emitter)
        await keeper.connect()

    async def _connect_until(self, timeout: float | None) -> None:
        """Repeat attempts that may heal, until one succeeds or the time has passed."""
        loop = asyncio.get_running_loop()
        backoff = Backoff()
        last: PortwayError = ConnectError("tcp", f"the service does not answer within {timeout or 0:g} s")
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        return await self._connect()
                    except (Error, ConnectError) as error:
                        if is_final(error):
                            raise
                        last = error
                    await asyncio.sleep(backoff.next(loop.time(), random.random()))
        except TimeoutError:
            raise last from None


def _same_loop(keeper: Keeper) -> None:
    if keeper.loop is not asyncio.get_running_loop():
        raise NotConnected("the agent is connected on another event loop; use one agent for each loop")
