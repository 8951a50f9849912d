"""The https and tls listener: read the ClientHello, then decide whose TLS it is.

::

    ClientHello ─ SNI ─┬─ tls endpoint ─────────► passed through, hello and all
                       ├─ https endpoint ───────► our TLS, then HTTP
                       ├─ below our domain ─────► our TLS, so that the visitor sees the error page
                       └─ anything else, none ──► alert unrecognized_name, closed

Certificates: one that was uploaded for a reserved domain comes first; its key is asked for when it is
first needed. The service's own covers its domain and one label below it. For a deeper or a custom name
that an endpoint has claimed, the control plane issues one on demand, for a wildcard endpoint one in all;
names that nobody has claimed are never issued for, so visitors cannot make the authority work.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar, cast

from portway.codec import client_hello
from portway.edge.tcp import RawVisitor
from portway.errors import Error, PortwayError
from portway.net.buffers import buffers
from portway.net.leg import hand_over
from portway.net.tls import TlsPump, service_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.listener import Edge
    from portway.edge.ports import Control
    from portway.edge.registry import Endpoint
    from portway.model.view import ViewItem

T = TypeVar("T")

_log = logging.getLogger(__name__)

FRESH: Final = 43_200.0
"""Seconds after which an issued certificate is asked for again."""

HELLO_RECORDS: Final = 64
"""Records that a ClientHello may be cut into; honest ones need four. Each new one costs a look at all."""

_HEADER: Final = 5
"""Bytes of a record's header; the last two are its length (RFC 8446 §5.1)."""
_INTERNAL_ERROR: Final = 80
_TLS_VERSIONS: Final = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


class Certificates:
    """TLS contexts by name."""

    def __init__(self, default: ssl.SSLContext, domain: str, control: "Control", limit: int) -> None:
        """Start with the service's own, which covers ``domain`` and one label below it."""
        self.default = default
        self._domain = domain
        self._control = control
        self._view = control.view
        self._limit = limit
        self._issued: OrderedDict[str, tuple[ssl.SSLContext, float]] = OrderedDict()
        self._uploaded: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        """By the identifier of the certificate, which never changes."""
        self._asked: dict[str, asyncio.Future[ssl.SSLContext]] = {}
        self._view.on_change(self._changed)

    def __repr__(self) -> str:
        """Show how many are kept."""
        return (
            f"<Certificates issued={len(self._issued)} uploaded={len(self._uploaded)} "
            f"asked={len(self._asked)}>"
        )

    def at_hand(self, name: str, now: float) -> ssl.SSLContext | None:
        """Return the context for a name if it needs no asking."""
        uploaded = self._view.certificate(name)
        if uploaded is not None:
            return _used(self._uploaded, uploaded.id)
        if name == self._domain or name.partition(".")[2] == self._domain:
            return self.default
        found = _used(self._issued, name)
        return found[0] if found is not None and found[1] + FRESH > now else None

    def is_uploaded(self, name: str) -> bool:
        """Tell whether somebody has uploaded a certificate for a name."""
        return self._view.certificate(name) is not None

    async def issue(self, name: str, now: float) -> ssl.SSLContext:
        """Get the certificate of a claimed name; those who ask at once share the answer.

        Raises PortwayError when the control plane refuses or cannot. Cancelled: who shares it fails.
        """
        found = self.at_hand(name, now)
        if found is not None:
            return found
        uploaded = self._view.certificate(name)
        key = name if uploaded is None else uploaded.id
        asked = self._asked.get(key)
        if asked is not None:
            return await asyncio.shield(asked)
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            context = await (self._issue(name, now) if uploaded is None else self._fetch(uploaded.id))
        except BaseException as error:
            asked.set_exception(error if isinstance(error, PortwayError) else Error("Given up.", 128))
            asked.exception()  # perhaps nobody shares it
            raise
        finally:
            del self._asked[key]
        asked.set_result(context)
        return context

    async def _issue(self, name: str, now: float) -> ssl.SSLContext:
        pem = await self._control.certificate(name)
        context = service_context(pem.chain, pem.key)
        _keep(self._issued, name, (context, now), self._limit)
        return context

    async def _fetch(self, certificate_id: str) -> ssl.SSLContext:
        pem = await self._control.certificate_key(certificate_id)
        context = service_context(pem.chain, pem.key)
        if self._view.find(certificate_id) is not None:  # else it was deleted meanwhile
            _keep(self._uploaded, certificate_id, context, self._limit)
        return context

    def _changed(self, item: "ViewItem", _before: "ViewItem | None") -> None:
        if item.gone:
            self._uploaded.pop(item.id, None)


def _used(table: "OrderedDict[str, T]", key: str) -> "T | None":
    """Return what is kept under a key, which is then the last to be forgotten."""
    found = table.get(key)
    if found is not None:
        table.move_to_end(key)
    return found


def _keep(table: "OrderedDict[str, T]", key: str, value: T, limit: int) -> None:
    """Keep something, and forget what was not used for longest when there is too much."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > limit:
        table.popitem(last=False)


class TlsArrival(asyncio.BufferedProtocol):
    """A new connection of the https listener, until its ClientHello is complete."""

    __slots__ = (
        "_buffer",
        "_certificates",
        "_clock",
        "_edge",
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
        certificates: Certificates,
        http: "Callable[[TlsPump, bytes], asyncio.BaseProtocol]",
    ) -> None:
        """Wait for the connection. ``http`` makes who serves it when the TLS is ours."""
        self._edge = edge
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
        if endpoint is not None and endpoint.scheme == "tls":
            self._pass_through(endpoint, hello, name)
            return
        if endpoint is not None and endpoint.url.is_wildcard and not self._certificates.is_uploaded(name):
            name = endpoint.url.host
        context = self._certificates.at_hand(name, self._edge.now())
        if context is not None:
            self._terminate(context)
        elif endpoint is None and not self._certificates.is_uploaded(name):
            self._refuse(client_hello.ALERT_UNRECOGNIZED_NAME)
        else:
            assert self._transport is not None
            self._transport.pause_reading()
            self._edge.tasks.start(self._terminate_issued(name), name=f"certificate of {name}")

    def _pass_through(self, endpoint: "Endpoint", hello: client_hello.ClientHello, name: str) -> None:
        assert self._transport is not None
        visitor = RawVisitor(
            self._edge,
            lambda: endpoint,
            first=bytes(self._hello),
            passthrough=True,
            server_name=name,
            tls_version=_TLS_VERSIONS.get(hello.version, ""),
        )
        hand_over(self._transport, visitor)

    async def _terminate_issued(self, name: str) -> None:
        assert self._transport is not None
        try:
            context = await self._certificates.issue(name, self._edge.now())
        except PortwayError as error:
            _log.warning("no certificate for %s: %s", name, error)
            self._refuse(_INTERNAL_ERROR)
            return
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._terminate(context)

    def _terminate(self, context: ssl.SSLContext) -> None:
        assert self._transport is not None
        pump = TlsPump(context, server_side=True)
        hand_over(self._transport, self._http(pump, bytes(self._hello)))

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
