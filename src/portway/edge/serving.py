"""What a visitor needs whose bytes are passed on unread, whoever carries them.

A :class:`Serving` finds the endpoint, opens a stream on one of its members, joins it to the visitor's leg,
and tells at the end what the connection was. The leg is plain (``edge/tcp.py``) or ends the visitor's TLS
first (``edge/tls_visitor.py``).

::

    leg connected ── arrived ── (TLS handshake) ── open ──▶ joined ──▶ finished
                        └ no endpoint, or no member ──▶ dismissed ──────┘

Whatever goes wrong, the visitor sees its connection closed and not a byte more: there is no place in its
protocol for our errors. Operators find the reason in the event.
"""

from typing import TYPE_CHECKING

from portway.edge.ends import Ends, ends_of
from portway.edge.member import NoVerdict, Visitor
from portway.edge.policy_connect import enter_by
from portway.edge.restriction import WHY, decide
from portway.errors import SessionClosed, StreamLimit
from portway.model.event import TcpConnectionClosed
from portway.net.address import split_address
from portway.session import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.listener import Edge
    from portway.edge.member import Member
    from portway.edge.registry import Endpoint
    from portway.edge.tls_facts import TlsFacts
    from portway.net.leg import Leg
    from portway.net.tls import Agreed

_UNKNOWN = Ends("", "")


class Serving:
    """One visitor of a tcp or a tls endpoint."""

    __slots__ = (
        "_edge",
        "_ends",
        "_failure",
        "_find",
        "_first",
        "_gate",
        "_judged",
        "_member",
        "_start",
        "endpoint",
        "passthrough",
        "tls",
    )

    def __init__(
        self,
        edge: "Edge",
        find: "Callable[[], Endpoint | None]",
        *,
        first: bytes = b"",
        passthrough: bool = False,
        ends: Ends | None = None,
        tls: "TlsFacts | None" = None,
    ) -> None:
        """Serve one visitor of what ``find`` returns.

        ``first`` are bytes that were read already and belong to the stream, ``passthrough`` says that they
        are the visitor's TLS. ``ends`` are known when they are not those of the socket.
        """
        self._edge = edge
        self._find = find
        self._first = first
        self._ends = ends
        self._failure = ""
        self._judged = ""
        self._member: Member | None = None
        self._start = edge.wall()
        self.passthrough = passthrough
        self.tls = tls
        self._gate = tls.gate if tls is not None else None
        self.endpoint: Endpoint | None = None
        """Whose visitor it is, once it has arrived."""

    @property
    def ends(self) -> Ends:
        """Where the visitor came from and arrived."""
        return self._ends or _UNKNOWN

    def arrived(self, leg: "Leg") -> bool:
        """Take note of a visitor whose socket is there; False when nobody is online for it."""
        assert leg.transport is not None
        if self._ends is None:
            self._ends = ends_of(leg.transport)
        self.endpoint = self._find()
        if self.endpoint is None:
            self._failure = "no endpoint is online here"
            leg.dismiss()
            return False
        self.endpoint.counters.connections += 1
        self.endpoint.counters.open += 1
        self._edge.idle.add(leg, self._edge.now())
        if self.endpoint.account_id in self._edge.restrictions and not self._is_let_in(self.endpoint):
            leg.dismiss()
            return False
        if self.endpoint.gates and self._gate is None:
            self._gate = enter_by(self._edge, self.endpoint, self._ends, self.tls)
        return not self._is_closed(leg)

    def _is_let_in(self, endpoint: "Endpoint") -> bool:
        """Ask the account's restriction."""
        judged = decide(self._edge, endpoint, split_address(self.ends.client)[0])
        if judged is None:
            return True
        self._judged = judged.word
        if judged.refused:
            self._failure = WHY
        return not judged.refused

    def secured(self, leg: "Leg", agreed: "Agreed") -> bool:
        """The handshake is complete: judge what waited for it; False when the visitor may not enter."""
        assert self.tls is not None
        self.tls.agreed = agreed
        if self._gate is not None:
            self._gate.secured(self.tls)
        return not self._is_closed(leg)

    def _is_closed(self, leg: "Leg") -> bool:
        """Dismiss a visitor whom a policy does not let in."""
        if self._gate is None or not self._gate.closed:
            return False
        self._failure = self._gate.why
        leg.dismiss()
        return True

    def open(self, leg: "Leg") -> None:
        """Open a stream on some member and join it, or dismiss the visitor."""
        if not self._open(leg, ()):
            leg.dismiss()

    @property
    def _target(self) -> "Endpoint":
        """Who serves the visitor: another endpoint where a policy says so."""
        assert self.endpoint is not None
        return self.endpoint if self._gate is None else self._gate.target

    def again(self, leg: "Leg", code: int) -> bool:
        """Try another member when the stream's agent was only too busy to take it; False: it is cut."""
        member, endpoint = self._member, self.endpoint
        if code == ErrorCode.ACCEPT_QUEUE_FULL and member and endpoint and leg.retract(len(self._first)):
            self._target.pool.busy(member, self._edge.now())
            if self._open(leg, (member,)):
                return True
        self._failure = self._failure or f"the agent's stream was reset with code {code}"
        return False

    def _open(self, leg: "Leg", without: "tuple[Member, ...]") -> bool:
        """Open a stream on some member and join it; False when none can serve."""
        client, server = self.ends
        target = self._target
        visitor = Visitor(client, server, target.scheme, self.passthrough)
        try:
            member, pipe = target.pool.open(visitor, leg, self._edge.now(), without)
        except (StreamLimit, SessionClosed, NoVerdict) as error:
            self._failure = str(error)
            return False
        if self._member is not None:
            self._member.counters.open -= 1  # it was too busy
        self._member = member
        member.counters.open += 1
        leg.join(pipe, self._first)
        return True

    def finished(self, leg: "Leg") -> None:
        """Count and tell what the connection was."""
        self._edge.idle.discard(leg)
        endpoint = self.endpoint
        if endpoint is not None:
            endpoint.counters.closed(leg.bytes_in, leg.bytes_out)
        if self._member is not None:
            self._member.counters.closed(leg.bytes_in, leg.bytes_out)
        if self._edge.wishes.tcp(endpoint):
            made = self._event(leg)
            self._edge.events.emit(made if self._gate is None else self._gate.told_in(made))

    def _event(self, leg: "Leg") -> TcpConnectionClosed:
        endpoint, tls = self.endpoint, self.tls
        client_ip, client_port = split_address(self.ends.client)
        server_ip, server_port = split_address(self.ends.server)
        return TcpConnectionClosed(
            account_id=endpoint.account_id if endpoint else "",
            endpoint_id=self._member.id if self._member else "",
            url=str(endpoint.url) if endpoint else "",
            client_ip=client_ip,
            client_port=client_port,
            server_ip=server_ip,
            server_port=server_port,
            server_name=(tls.sni if tls else "") or (endpoint.url.host if endpoint else ""),
            start_ts=self._start,
            end_ts=self._edge.wall(),
            bytes_in=leg.bytes_in,
            bytes_out=leg.bytes_out,
            tls_version=f"TLSv{tls.version}" if tls and tls.version in ("1.2", "1.3") else "",
            ja4=tls.ja4 if tls else "",
            ip_policy_decision=self._judged,
            error=self._failure or (str(leg.error) if leg.error else ""),
        )
