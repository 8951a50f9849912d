"""From a visitor's stream to the upstream, byte for byte.

Each connection dials the upstream anew, so that its name is resolved anew. The leg keeps the
stream's bytes until it is connected, keeps half-close, and touches nothing: Host and X-Forwarded-…
arrive as the service wrote them. Where TLS goes to the upstream and a PROXY header comes ahead of the
bytes, the header is read first and written in clear before the handshake.

An upstream that cannot be reached, or that fails TLS, costs its connection alone: it is ended without a
byte, which a portway service answers for http visitors with its own page, 502 and ERR_NGROK_8012. Toward
a service of another make the agent writes that page itself.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from portway.agent.bound import Bound
from portway.agent.connection import peername
from portway.agent.dialer import reach
from portway.agent.endpoint import Endpoint
from portway.agent.observe import Observer
from portway.agent.pages import unreachable
from portway.agent.preface import Preface
from portway.agent.upstream import Target, Upstream, resolve
from portway.agent.url import URL
from portway.errors import ConfigError, ConnectError
from portway.net.leg import Leg
from portway.net.tls import TlsPump, agent_context
from portway.net.tls_leg import TlsLeg
from portway.net.transport import StreamTransport
from portway.pipe import Pipe, Sink
from portway.wire.messages import ProxyHeader

DIAL_TIMEOUT = 3.0
"""Seconds that the connection to an upstream may take."""
TLS_TIMEOUT = 10.0
"""Seconds that the TLS handshake with an upstream may take."""


class EndpointForwarder(Endpoint):
    """An endpoint whose connections go to an upstream."""

    def __init__(self, bound: Bound, target: Target, context: ssl.SSLContext | None) -> None:
        """Made by `Agent.forward` only."""
        super().__init__(bound)
        self._target = target
        self._context = context
        bound.serve(self._take)

    @property
    def upstream_url(self) -> URL:
        """Return where connections go, normalised: scheme, host and port are always written."""
        return self._target.url

    @property
    def upstream_protocol(self) -> str:
        """Return what is spoken to the upstream: the scheme of its URL."""
        return self._target.protocol

    @property
    def upstream_tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context that the `Upstream` was given, or None."""
        return self._target.spec.tls_context

    def update_upstream(self, upstream: Upstream | str | int) -> None:
        """Forward new connections to another upstream; those under way stay where they are.

        Raises `ConfigError` for one that makes no sense on this endpoint, or whose PROXY protocol is
        another: the service writes that header, and was told at the bind.
        """
        to = upstream if isinstance(upstream, Upstream) else Upstream(upstream)
        target = resolve(to, self.protocol)
        if target.spec.proxy_protocol != self.proxy_protocol:
            raise ConfigError("proxy_protocol cannot be changed while the endpoint is online")
        self._target, self._context = target, tls_context(target)

    def _take(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        return Hop(self._bound, self, header, self._target, self._context).begin(pipe)


class Hop:
    """One visitor's connection on its way to the upstream."""

    __slots__ = (
        "_began",
        "_bound",
        "_context",
        "_endpoint",
        "_header",
        "_http",
        "_leg",
        "_observer",
        "_paged",
        "_target",
    )

    def __init__(
        self,
        bound: Bound,
        endpoint: EndpointForwarder,
        header: ProxyHeader,
        target: Target,
        context: ssl.SSLContext | None,
    ) -> None:
        """Prepare; nothing happens before `begin`."""
        self._bound = bound
        self._endpoint = endpoint
        self._header = header
        self._target = target
        self._context = context
        self._began = time.monotonic()
        self._http = (header.proto if endpoint.labels else endpoint.protocol) in ("http", "https")
        self._paged = 0
        self._observer: Observer | None = None
        self._leg: Leg = Leg(on_closed=self._closed)

    def begin(self, pipe: Pipe) -> Sink:
        """Say that the connection is here, join it to a leg and dial; return the stream's Sink."""
        emitter, target = self._bound.emitter, self._target
        if emitter.heard:
            emitter.opened(self._endpoint, self._header.client_addr)
        preceded = target.spec.proxy_protocol is not None
        observer = self._observer
        if emitter.heard and self._http and not target.http2:
            self._observer = observer = Observer(pipe, self._request, time.monotonic, proxy_header=preceded)
        if target.folder is not None:
            return self._serve(target.folder, pipe, observer)
        if self._context is not None:
            pump = TlsPump(self._context, server_side=False, server_hostname=target.host)
            self._leg = UpstreamTlsLeg(pump, self)
        leg = self._leg
        sink: Sink = leg
        if isinstance(leg, UpstreamTlsLeg) and preceded:
            sink = Preface(pipe, leg, self._dial_after)
        else:
            self._dial()
        if observer is None:
            leg.join(pipe)
            return sink
        observer.to(sink)
        leg.join(observer)
        return observer

    def _serve(self, folder: Path, pipe: Pipe, observer: Observer | None) -> Sink:
        """Answer the visitor with files, in the place of an upstream."""
        from portway.agent.files import FileConnection, FileSite  # only who serves files needs it

        connection = FileConnection(FileSite(folder), self._bound.emitter.logger, self._over)
        peer = {"peername": peername(self._header.client_addr)}
        transport = StreamTransport(asyncio.get_running_loop(), connection, peer)
        if observer is not None:
            observer.to(transport)
        transport.join(observer or pipe)
        self._bound.start(connection.run())
        return observer or transport

    def _dial_after(self, preface: bytes) -> None:
        """Dial when the PROXY header is known: it goes ahead of the handshake."""
        leg = self._leg
        assert isinstance(leg, UpstreamTlsLeg)
        leg.preface = preface
        self._dial()

    def _dial(self) -> None:
        self._bound.start(self._connect())

    async def _connect(self) -> None:
        target = self._target
        try:
            await reach(
                target.host,
                target.port,
                lambda: self._leg,
                dialer=target.spec.dialer,
                path=target.path,
                timeout=DIAL_TIMEOUT,
            )
        except ConnectError as error:
            self.refuse(error)

    def refuse(self, error: ConnectError) -> None:
        """Answer in the place of an upstream that is not there."""
        self._bound.emitter.logger.warning(
            "%s", error, extra={"url": str(self._endpoint.url), "upstream": str(self._target.url)}
        )
        page = b""
        if self._http:
            if self._observer is not None:
                self._observer.unanswered(502)
            if not self._bound.with_portway and not self._target.http2:
                page = unreachable(str(self._target.url), str(error))
        self._paged = len(page)
        self._leg.refuse(page)

    def _request(self, method: str, path: str, status: int, duration: float) -> None:
        self._bound.emitter.request(self._endpoint, method, path, status, duration)

    def _closed(self, leg: Leg) -> None:
        self._over(leg.bytes_out, leg.bytes_in + self._paged)

    def _over(self, bytes_in: int, bytes_out: int) -> None:
        """Tell the end, and the bytes from and to the visitor."""
        emitter = self._bound.emitter
        if emitter.heard:
            duration = time.monotonic() - self._began
            emitter.closed(self._endpoint, self._header.client_addr, duration, bytes_in, bytes_out)

    @property
    def upstream(self) -> URL:
        """Return where it goes."""
        return self._target.url

    @property
    def on_closed(self) -> Callable[[Leg], None]:
        """Return who hears that the leg has ended."""
        return self._closed


class UpstreamTlsLeg(TlsLeg):
    """A leg with TLS to the upstream, which may begin with bytes in clear."""

    __slots__ = ("_hop", "preface")

    def __init__(self, pump: TlsPump, hop: Hop) -> None:
        """Make a leg around this pump."""
        super().__init__(pump, on_closed=hop.on_closed, handshake_timeout=TLS_TIMEOUT)
        self._hop = hop
        self.preface = b""

    def opened(self) -> None:
        """Write what goes ahead of the handshake."""
        if self.preface and self.transport is not None:
            self.transport.write(self.preface)

    def on_insecure(self, error: ConnectError) -> None:
        """Answer in the upstream's place; the leg then lets go of its socket alone."""
        self._hop.refuse(ConnectError(error.step, f"{self._hop.upstream}: {error}"))


def tls_context(target: Target) -> ssl.SSLContext | None:
    """Return the context for TLS to this upstream, None when it is plain. Raises ConfigError."""
    spec = target.spec
    if not target.tls or spec.tls_context is not None:
        return spec.tls_context if target.tls else None
    context = agent_context(spec.verify_cas)
    if not spec.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if target.http2:
        context.set_alpn_protocols(["h2"])
    return context
