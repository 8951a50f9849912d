"""The https and tls listener: read the ClientHello, then decide whose TLS it is.

::

    ClientHello ─ SNI ─┬─ tls endpoint ──┬───────► passed through, hello and all
                       │                 └ ended ► our TLS, then bytes (tls_visitor.py)
                       ├─ https endpoint ────────► our TLS, then HTTP
                       ├─ below our domain ──────► our TLS, so that the visitor sees the error page
                       └─ anything else, none ───► alert unrecognized_name, closed

How TLS is ended is the endpoint's to say (``tls_settings.py``), which certificate is shown is decided by
``certificates.py``. Who visits https and speaks no version of HTTP that we do is told so by an alert.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

from portway.codec import client_hello
from portway.edge.ends import ends_of
from portway.edge.policy_connect import enter_by
from portway.edge.restriction import decide
from portway.edge.serving import Serving
from portway.edge.tcp import RawVisitor
from portway.edge.tls_facts import TlsFacts
from portway.edge.tls_settings import PLAIN
from portway.edge.tls_visitor import TlsVisitor
from portway.errors import ConfigError, PortwayError
from portway.net.address import split_address
from portway.net.buffers import buffers
from portway.net.leg import hand_over
from portway.net.tls import TlsPump

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.certificates import Certificates
    from portway.edge.ends import Ends
    from portway.edge.listener import Edge
    from portway.edge.registry import Endpoint

    ServeHttp = Callable[[TlsPump, bytes, TlsFacts, Ends | None], asyncio.BaseProtocol]

_log = logging.getLogger(__name__)

HTTP_ALPN: Final = ("h2", "http/1.1", "http/1.0")
"""What visitors of https endpoints may choose, best first."""

HELLO_RECORDS: Final = 64
"""Records that a ClientHello may be cut into; honest ones need four. Each new one costs a look at all."""

_HTTP_NAMES: Final = frozenset(name.encode() for name in HTTP_ALPN)
_HEADER: Final = 5
"""Bytes of a record's header; the last two are its length (RFC 8446 §5.1)."""
_INTERNAL_ERROR: Final = 80


class TlsArrival(asyncio.BufferedProtocol):
    """A new connection of the https listener, until its ClientHello is complete."""

    __slots__ = (
        "_buffer",
        "_certificates",
        "_clock",
        "_edge",
        "_ends",
        "_hello",
        "_http",
        "_records",
        "_transport",
        "_wanted",
        "_whole",
    )

    def __init__(
        self,
        edge: "Edge",
        certificates: "Certificates",
        http: "ServeHttp",
        ends: "Ends | None" = None,
    ) -> None:
        """Wait for the connection. ``http`` makes who serves it when it is a visitor of https.

        ``ends`` are known when they are not those of the socket.
        """
        self._edge = edge
        self._ends = ends
        self._certificates = certificates
        self._http = http
        self._hello = bytearray()
        self._whole = 0  # bytes of the records that are complete
        self._records = 0  # how many those are
        self._wanted = 1  # bytes from which on it is worth to look again
        self._buffer = buffers().raw
        self._transport: asyncio.Transport | None = None
        self._clock: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show how much has come."""
        return f"<TlsArrival {len(self._hello)} bytes>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the visitor a moment for its hello."""
        self._transport = cast("asyncio.Transport", transport)
        if self._edge.config.limits.client_hello:
            loop = asyncio.get_running_loop()
            self._clock = loop.call_later(self._edge.config.limits.client_hello, self._transport.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the loop's buffer: what came is copied at once."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Collect the hello; decide when it is complete."""
        self._hello += self._buffer[:nbytes]
        if len(self._hello) < self._wanted:
            return
        try:
            hello = client_hello.parse(self._hello)
        except client_hello.ClientHelloError as error:
            self._refuse(error.alert)
            return
        if hello is not None:
            self._stop_clock()
            self._decide(hello)
        elif not self._look_again_later():
            self._refuse(client_hello.ALERT_DECODE_ERROR)

    def eof_received(self) -> bool:
        """A visitor that says no hello gets no answer."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()

    def _look_again_later(self) -> bool:
        """Find how much must have come before anything can have changed; False: cut too fine."""
        have = len(self._hello)
        while have >= (header := self._whole + _HEADER):
            end = header + int.from_bytes(self._hello[header - 2 : header], "big")
            if have < end:
                self._wanted = end
                return True
            self._whole = end
            self._records += 1
            if self._records >= HELLO_RECORDS:
                return False
        self._wanted = header
        return True

    def _decide(self, hello: client_hello.ClientHello) -> None:
        name = hello.sni
        if name is None:
            self._refuse(client_hello.ALERT_UNRECOGNIZED_NAME)
            return
        endpoint = self._edge.registry.find_sni(name)
        facts = TlsFacts(hello, endpoint.tls if endpoint is not None else None)
        refused = endpoint is not None and self._is_kept_out(endpoint)
        if refused and endpoint is not None and endpoint.scheme == "tls":
            self._pass_through(endpoint, facts)
        elif endpoint is not None and endpoint.gates and not refused and not self._enter(endpoint, facts):
            self._pass_through(endpoint, facts)  # to be closed, and told of
        elif endpoint is None or endpoint.scheme != "tls":
            self._decide_https(facts, name, endpoint)
        elif facts.settings is None:
            self._pass_through(endpoint, facts)
        else:
            self._end_tls(endpoint, facts, name)

    def _is_kept_out(self, endpoint: "Endpoint") -> bool:
        """Tell whether the account's restriction refuses the visitor: no policy is asked then."""
        if endpoint.account_id not in self._edge.restrictions:
            return False
        assert self._transport is not None
        client = (self._ends or ends_of(self._transport)).client
        judged = decide(self._edge, endpoint, split_address(client)[0])
        return judged is not None and judged.refused

    def _enter(self, endpoint: "Endpoint", facts: TlsFacts) -> bool:
        """Ask the endpoint's policy whether the visitor may enter, and how TLS is to be ended."""
        assert self._transport is not None
        gate = facts.gate = enter_by(self._edge, endpoint, self._ends or ends_of(self._transport), facts)
        if gate.settings is not None:
            facts.settings = gate.settings
        return not gate.closed

    def _decide_https(self, facts: TlsFacts, name: str, endpoint: "Endpoint | None") -> None:
        """Serve a visitor of an https endpoint, or show our page where none is online."""
        hello = facts.hello
        if hello is not None and hello.alpn and _HTTP_NAMES.isdisjoint(hello.alpn):
            self._refuse(client_hello.ALERT_NO_APPLICATION_PROTOCOL)
            return
        facts.settings = facts.settings or PLAIN
        self._end_tls(endpoint, facts, name)

    def _end_tls(self, endpoint: "Endpoint | None", facts: TlsFacts, name: str) -> None:
        """End TLS here, with a certificate that is at hand, or as soon as it is there."""
        assert facts.settings is not None
        if facts.settings.chain:
            self._shake_hands(endpoint, facts)
            return
        if endpoint is not None and endpoint.url.is_wildcard and not self._certificates.is_uploaded(name):
            name = endpoint.url.host
        facts.shown = self._certificates.at_hand(name, self._edge.now())
        if facts.shown is not None:
            self._shake_hands(endpoint, facts)
        elif endpoint is None and not self._certificates.is_uploaded(name):
            self._refuse(client_hello.ALERT_UNRECOGNIZED_NAME)
        else:
            assert self._transport is not None
            self._transport.pause_reading()
            self._edge.tasks.start(self._certify(endpoint, facts, name), name=f"certificate of {name}")

    async def _certify(self, endpoint: "Endpoint | None", facts: TlsFacts, name: str) -> None:
        """Have a certificate issued, then go on."""
        assert self._transport is not None
        try:
            facts.shown = await self._certificates.issue(name, self._edge.now())
        except PortwayError as error:
            _log.warning("no certificate for %s: %s", name, error)
            self._refuse(_INTERNAL_ERROR)
            return
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._shake_hands(endpoint, facts)

    def _pass_through(self, endpoint: "Endpoint", facts: TlsFacts) -> None:
        assert self._transport is not None
        first = bytes(self._hello)
        serving = Serving(
            self._edge,
            lambda: endpoint,
            first=first,
            passthrough=True,
            ends=self._ends,
            tls=facts,
        )
        hand_over(self._transport, RawVisitor(serving, seen=len(first)))

    def _shake_hands(self, endpoint: "Endpoint | None", facts: TlsFacts) -> None:
        """Hand the connection to whom it is for; the handshake is theirs."""
        assert self._transport is not None
        assert facts.settings is not None
        raw = endpoint is not None and endpoint.scheme == "tls"
        try:
            context = self._certificates.contexts.get(facts.settings, facts.shown, () if raw else HTTP_ALPN)
        except ConfigError as error:
            _log.warning("the TLS of %s cannot be ended: %s", facts.sni, error)
            self._refuse(_INTERNAL_ERROR)
            return
        pump = TlsPump(context, server_side=True)
        first = bytes(self._hello)
        if raw:
            pump.received(first)
            serving = Serving(self._edge, lambda: endpoint, ends=self._ends, tls=facts)
            timeout = self._edge.config.limits.tls_handshake
            hand_over(self._transport, TlsVisitor(serving, pump, handshake_timeout=timeout))
        else:
            hand_over(self._transport, self._http(pump, first, facts, self._ends))

    def _refuse(self, alert: int) -> None:
        """Say why in TLS's own words, and close."""
        self._stop_clock()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(client_hello.alert_record(alert))
            self._transport.close()

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
