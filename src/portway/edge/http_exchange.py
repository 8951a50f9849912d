"""One request and its answer: what is remembered while they pass, and the event made of them."""

import time
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from msgspec.structs import replace

from portway.codec.http1 import parse_response
from portway.edge.policy_events import fitting
from portway.model.event import HttpRequestComplete, TcpConnectionClosed

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead, ResponseHead
    from portway.edge.member import Member
    from portway.edge.policy_connect import Gate
    from portway.edge.policy_request import Glance
    from portway.edge.registry import Endpoint
    from portway.edge.tls_facts import TlsFacts
    from portway.edge.wishes import Wishes
    from portway.model.event import Trace

FIELDS_BYTES: Final = 64 << 10
"""Bytes of a head's fields that an event holds; the first ones."""

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
"""Methods that may be sent twice (RFC 9110 §9.2.2)."""


class Exchange(msgspec.Struct, eq=False):  # made for each request
    """A request that is under way."""

    head: "RequestHead"
    endpoint: "Endpoint | None"
    started: float
    """Unix seconds of the request's head."""
    reused: bool = False
    """It went over a stream that served a request before."""
    again: bytes = b""
    """The head as sent to the upstream, while it may be sent once more; else empty."""
    status: int = 0
    """Of the answer whose head has been given to the visitor; 0 before."""
    code: int = 0
    """n of ERR_NGROK_n, when the answer is ours."""
    bytes_in: int = 0
    """Body bytes from the visitor, as they came."""
    bytes_out: int = 0
    """Body bytes to the visitor, as they were sent."""
    continued: bool = False
    """The visitor was told to go on with the body that it announced."""
    aborted: bool = False
    answer: "ResponseHead | None" = None
    """The head that the visitor was given, if it was no page of ours."""
    answer_at: float = 0.0
    """Unix seconds of that."""
    complete_at: float = 0.0
    """Unix seconds at which the request's body was complete; 0 if it has none, or is not."""
    told: dict[str, object] | None = None
    """Further fields of the event, where a policy ran."""
    results: dict[str, object] | None = None
    """What its actions found out, by their names below ``actions.ngrok``: for an inspector, as there may be
    secrets in it."""

    member: "Member | None" = None
    """Who was given the request last."""
    inner: "list[Endpoint] | None" = None
    """The endpoints that it was forwarded to by policies."""
    page: bytes = b""
    """The whole answer, if it is a page of ours that no passage gave."""
    glance: "Glance | None" = None
    """What its policy has begun before it had a passage, until that one takes it."""
    trace: "Trace | None" = None
    """Its place in a trace, where the service traces."""
    last: bool = False
    """A policy wants the visitor's connection closed, not this request alone."""

    def asks(self, endpoint: "Endpoint") -> None:
        """The request is for this endpoint, or is forwarded to this one by a policy: count it there."""
        endpoint.counters.requests += 1
        if self.endpoint is None:
            self.endpoint = endpoint
        elif self.inner is None:
            self.inner = [endpoint]
        else:
            self.inner.append(endpoint)

    def given_to(self, member: "Member") -> None:
        """A member gets the request; who had it before has not answered."""
        if self.member is not None:
            self.member.counters.answered(0, 0, 0)
        self.member = member
        member.counters.requests += 1

    def count(self) -> None:
        """The request is over: count that with all who had it."""
        endpoint, member = self.endpoint, self.member
        if endpoint is None:
            return
        kind, bytes_in, bytes_out = self.status // 100, self.bytes_in, self.bytes_out
        counters = endpoint.counters
        counters.answers[kind] += 1
        counters.bytes_in += bytes_in
        counters.bytes_out += bytes_out
        if member is not None:
            counters = member.counters
            counters.answers[kind] += 1
            counters.bytes_in += bytes_in
            counters.bytes_out += bytes_out
        if self.inner is not None:
            for each in self.inner:
                each.counters.answered(self.status, bytes_in, bytes_out)

    def answered(self, head: "ResponseHead") -> "ResponseHead":
        """The visitor is given this head of the answer; return it."""
        self.status = head.status
        self.answer = head
        self.answer_at = time.time()
        return head

    def event(
        self, connection: "ConnectionFacts", ended: float, wishes: "Wishes | None" = None
    ) -> HttpRequestComplete:
        """Make the event of the finished request; with the fields of heads if somebody wishes."""
        made = self._event(connection, ended)
        more = {} if self.told is None else fitting(HttpRequestComplete, self.told)
        if wishes is not None and wishes.headers(made.account_id):
            more["request_headers"] = _fields(self.head)
            answer = _head_of(self.page) if self.page else self.answer
            more["response_headers"] = () if answer is None else _fields(answer)
        return replace(made, **cast("dict[str, Any]", more)) if more else made

    def _event(self, connection: "ConnectionFacts", ended: float) -> HttpRequestComplete:
        endpoint = self.endpoint
        head = self.head
        return HttpRequestComplete(  # by place, see there; a test compares them by name
            connection.client_ip,
            connection.scheme,
            self.started,
            ended,
            head.host,
            head.method.decode("ascii"),
            head.target.decode("ascii"),
            self.status,
            endpoint.account_id if endpoint is not None else "",
            endpoint.id if endpoint is not None else "",
            connection.version or head.version,
            _user_agent(head),
            self.bytes_in,
            self.bytes_out,
            self.reused,
            f"ERR_NGROK_{self.code}" if self.code else "",
            self.aborted,
            self.complete_at,
            self.answer_at,
            self.trace,
            *connection.told(),
        )


Told = tuple[int, str, int, str, str, str, str, str, str, float]
"""From client_port to conn_start_ts of an event."""


class ConnectionFacts(msgspec.Struct, eq=False):
    """What is the same for all requests of one connection."""

    started: float
    """Unix seconds at which it was accepted."""
    scheme: str
    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    server_name: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    version: str = ""
    """Of HTTP, where all its requests have one and their heads do not say it."""
    tls: "TlsFacts | None" = None
    """All of its TLS, where that is known here."""
    gate: "Gate | None" = None
    """What a policy decided of the connection."""
    judged: str = ""
    """What the account's restriction said of the visitor, if it has one."""
    _told: "Told | None" = None

    def told(self) -> Told:
        """Return what the events of all its requests say alike. Asked for the first time, TLS is agreed."""
        if self._told is None:
            tls = self.tls
            client = tls.identity if tls is not None else None
            self._told = (
                self.client_port,
                self.server_ip,
                self.server_port,
                self.server_name,
                self.tls_version,
                self.tls_cipher,
                tls.ja4 if tls is not None else "",
                client.subject_cn if client is not None else "",
                client.serial_number if client is not None else "",
                self.started,
            )
        return self._told

    def event(self, endpoint: "Endpoint", ended: float, bytes_in: int, bytes_out: int) -> TcpConnectionClosed:
        """Make the event of the closed connection; ``endpoint`` is the last one it asked for."""
        made = TcpConnectionClosed(
            account_id=endpoint.account_id,
            endpoint_id=endpoint.id,
            url=str(endpoint.url),
            client_ip=self.client_ip,
            client_port=self.client_port,
            server_ip=self.server_ip,
            server_port=self.server_port,
            server_name=self.server_name or endpoint.url.host,
            start_ts=self.started,
            end_ts=ended,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            tls_version=self.tls_version,
            ja4=self.tls.ja4 if self.tls is not None else "",
            ip_policy_decision=self.judged,
        )
        return made if self.gate is None else self.gate.told_in(made)


def _head_of(page: bytes) -> "ResponseHead":
    return parse_response(page[: page.index(b"\r\n\r\n") + 4], b"HEAD")


def _fields(head: "RequestHead | ResponseHead") -> tuple[tuple[str, str], ...]:
    """Return the fields of a head, as many as fit."""
    found: list[tuple[str, str]] = []
    room = FIELDS_BYTES
    for name, value in head.headers:
        room -= len(name) + len(value)
        if room < 0:
            break
        found.append((name.decode("latin-1"), value.decode("latin-1")))
    return tuple(found)


def _user_agent(head: "RequestHead") -> str:
    for line in head.plain:
        if line[:11].lower() == b"user-agent:":
            return line[11:].strip(b" \t").decode("latin-1")
    return ""
