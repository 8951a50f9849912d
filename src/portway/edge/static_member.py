"""Backends without an agent: an address that the service dials itself, and an answer that is written down.

A :class:`StaticMember` opens a connection of its own for each visitor, over TLS where its backend says so,
with the certificate verified against the system's authorities. Each address that the name resolves to is
shown to the guard, and the connection is made to just that address. What cannot be reached resets the
visitor's stream as a busy agent does, so that another member is tried, and is passed over for a moment.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from portway.codec.http1 import NO_BODY, Framing, Kind, ResponseHead
from portway.edge import pages
from portway.edge.counters import Counters
from portway.edge.member import Answered
from portway.errors import ConnectError, StreamLimit
from portway.model.backend_checks import split_address
from portway.net.dial import DIAL_TIMEOUT, dial
from portway.net.leg import Leg
from portway.net.memory import memory_pair
from portway.net.tls import TlsPump, agent_context
from portway.net.tls_leg import TlsLeg
from portway.session import ErrorCode

if TYPE_CHECKING:
    import ssl

    from portway.edge.backends import MakeMember
    from portway.edge.member import Visitor
    from portway.model.guard import Guard
    from portway.net.tasks import Tasks
    from portway.pipe import Pipe, Sink

_log = logging.getLogger(__name__)

LIMIT: Final = 1024
"""Connections of one static backend at a time; more visitors find it busy."""
DOWN_FOR: Final = 1.0
"""Seconds for which an address that could not be reached is passed over, as long as another can serve."""
LOGGED: Final = 60.0
"""Seconds in which one backend that cannot be reached is logged once, however many visitors find it so."""
TLS_TIMEOUT: Final = 10.0
"""Seconds that a handshake with the address may take."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a name. Raises OSError."""


class StaticMember:
    """An address that the service dials."""

    policy = None

    def __init__(
        self,
        backend_id: str,
        spec: Mapping[str, Any],
        guard: "Guard",
        tasks: "Tasks",
        *,
        resolve: "Resolve | None" = None,
        context: "Callable[[], ssl.SSLContext]" = agent_context,
    ) -> None:
        """Dial the address of a backend, where the guard permits it, in tasks of these."""
        self.id = backend_id
        self.forwards_proto = ""
        self.counters = Counters()
        self.down_until = 0.0
        self.retired = False
        self._logged_at = -LOGGED
        self.host, self.port = split_address(str(spec["address"]))
        self._tls = bool(spec.get("tls", {}).get("enabled"))
        self._guard = guard
        self._tasks = tasks
        self._resolve = resolve or _resolve
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._open = 0

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<StaticMember {self.host}:{self.port}{' tls' if self._tls else ''} open={self._open}>"

    @property
    def usable(self) -> bool:
        """It is always worth a try, until its backend is gone or is another one."""
        return not self.retired

    def open(self, visitor: "Visitor", sink: "Sink") -> "Pipe":
        """Open a connection for a visitor. Raises StreamLimit."""
        if self._open >= LIMIT:
            raise StreamLimit(f"{self.id} has {LIMIT} connections already")
        near, far = memory_pair()
        near.attach(sink)
        leg = self._leg()
        far.attach(leg)
        leg.join(far)
        self._open += 1
        self.counters.connections += 1
        self._tasks.start(self._connect(leg), name=f"connection to {self.id}")
        return near

    def _leg(self) -> Leg:
        if not self._tls:
            return Leg(on_closed=self._closed)
        if self._context is None:
            self._context = self._make_context()
        pump = TlsPump(self._context, server_side=False, server_hostname=self.host)
        return TlsLeg(pump, on_closed=self._closed, handshake_timeout=TLS_TIMEOUT)

    async def _connect(self, leg: Leg) -> None:
        try:
            await self._reach(leg)
        except ConnectError as error:
            now = asyncio.get_running_loop().time()
            if now - self._logged_at >= LOGGED:
                self._logged_at = now
                _log.warning("static backend %s: %s", self.id, error)
            self.down_until = now + DOWN_FOR
            leg.abort(ErrorCode.ACCEPT_QUEUE_FULL)  # as of a busy agent: another member may be tried

    async def _reach(self, leg: Leg) -> None:
        """Connect to the first address that answers. Raises ConnectError."""
        where = f"{self.host}:{self.port}"
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                addresses = await self._resolve(self.host, self.port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise ConnectError("tcp", f"{where} cannot be resolved") from error
        failure = ConnectError("tcp", f"{where} has no address")
        for address in addresses:
            if refused := self._guard.refusal(address, self.port):
                failure = ConnectError("tcp", f"{where} is {address}, which {refused}: it may not be reached")
                continue
            try:
                transport, _ = await dial(address, self.port, lambda: leg)
            except ConnectError as error:
                failure = error
                continue
            if self._is_ours(transport, address):
                transport.abort()
                raise ConnectError("tcp", f"{where} is this machine, and the port is ours")
            return
        raise failure

    def _is_ours(self, transport: asyncio.Transport, address: str) -> bool:
        """Tell whether the service has reached a listener of its own, by whatever address of this machine."""
        ours, theirs = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        same = bool(ours and theirs and ours[0] == theirs[0])
        return same and self._guard.owns(self.port) and not self._guard.allows(address)

    def _closed(self, _leg: Leg) -> None:
        self._open -= 1


class ResponseMember:
    """An answer that is always the same."""

    policy = None

    def __init__(self, backend_id: str, spec: Mapping[str, Any]) -> None:
        """Answer as a backend says."""
        self.id = backend_id
        self.forwards_proto = ""
        self.counters = Counters()
        self.down_until = 0.0
        self.retired = False
        self._body = str(spec.get("body") or "").encode()
        self._status = int(spec.get("status_code") or 200)
        headers: Mapping[str, str] = spec.get("headers") or {}
        lines = [
            f"{name}: {value}".encode() for name, value in headers.items() if name.lower() not in _FRAMED
        ]
        bodiless = self._status in (204, 304)
        if bodiless:
            self._body = b""
        framing = Framing(Kind.LENGTH, len(self._body)) if self._body else NO_BODY
        special = {} if bodiless else {b"content-length": [b"%d" % len(self._body)]}
        phrase = pages.phrase(self._status).encode()
        self._head = ResponseHead(self._status, phrase, 1, framing, True, special, lines, 0, None)

    def __repr__(self) -> str:
        """Show the status."""
        return f"<ResponseMember {self.id} {self._status}>"

    @property
    def usable(self) -> bool:
        """It is always there."""
        return True

    def open(self, visitor: "Visitor", sink: "Sink") -> "Pipe":
        """Raise Answered: nothing is opened."""
        self.counters.connections += 1
        raise Answered(self._head, self._body)


_FRAMED: Final = frozenset(("content-length", "transfer-encoding", "connection", "upgrade", "keep-alive"))
"""Headers that the edge writes itself."""


async def _resolve(host: str, port: int) -> list[str]:
    """Ask this system for the addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def makers(guard: "Guard", tasks: "Tasks") -> "Mapping[str, MakeMember]":
    """Return what makes the members of each kind of backend that has no agent."""
    return {
        "static": lambda backend_id, spec: StaticMember(backend_id, spec, guard, tasks),
        "http_response": ResponseMember,
    }
