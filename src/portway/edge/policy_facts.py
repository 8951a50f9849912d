"""Between the heads of HTTP and what a Traffic Policy sees and changes of them.

A policy sees a request as its upstream would get it: with the ``X-Forwarded`` fields already written, without
the fields that only the service may set and those that ``Connection`` names. What it has changed is written
back into a head; how a message is framed is never a policy's to say, so those fields stay as they were.
"""

from typing import TYPE_CHECKING, Final, Literal, cast

from portway.codec.headers import answer_lines, upstream_lines
from portway.policy.facts import Connection, Endpoint, Request, Response, Tls

if TYPE_CHECKING:
    from portway.codec.headers import Forwarding
    from portway.codec.http1 import RequestHead, ResponseHead
    from portway.edge.registry import Endpoint as Online
    from portway.edge.tls_facts import TlsFacts
    from portway.policy.facts import Fields

Protocol = Literal["http", "https", "tcp", "tls"]

_FRAMING: Final = frozenset((
    b"connection", b"content-length", b"expect", b"http2-settings", b"keep-alive", b"proxy-authorization",
    b"proxy-connection", b"te", b"transfer-encoding", b"upgrade",
))  # fmt: skip
"""Fields of a head that say how it is framed, or that end at this hop."""
_FRAMING_OR_HOST: Final = _FRAMING | {b"host"}
_KEPT: Final = (b"content-length", b"transfer-encoding", b"te", b"upgrade", b"expect")
"""Those of them that the next head is made with."""


def connection_of(
    ends: tuple[str, int, str, int], region: str, started: float, tls: "TlsFacts | None"
) -> Connection:
    """Return what a policy sees of a connection. ``ends`` are the visitor's IP and port, then ours."""
    client_ip, client_port, server_ip, server_port = ends
    return Connection(
        client_ip,
        client_port,
        server_ip,
        server_port,
        region,
        started,
        tls=None if tls is None else tls_of(tls),
    )


def tls_of(tls: "TlsFacts") -> Tls:
    """Return what a policy sees of a visitor's TLS: after the handshake, all of it."""
    if tls.agreed is None:
        return Tls(tls.sni, tls.ja4)
    return Tls(
        tls.sni,
        tls.ja4,
        tls.version,
        tls.cipher_suite,
        tls.alpn,
        tls.peer_certificate,
        _first_certificate(tls.server_chain),
    )


def _first_certificate(chain: bytes) -> bytes:
    """Return the DER of the first certificate of a PEM chain; b"" if there is none."""
    from ssl import PEM_cert_to_DER_cert

    end = b"-----END CERTIFICATE-----"
    begin = chain.find(b"-----BEGIN CERTIFICATE-----")
    if begin < 0:
        return b""
    first = chain[begin : chain.find(end, begin) + len(end)]
    return PEM_cert_to_DER_cert(first.decode("ascii", "ignore"))


def endpoint_of(endpoint: "Online") -> Endpoint:
    """Return what a policy sees of its endpoint."""
    url = endpoint.url
    return Endpoint(endpoint.id, str(url), cast("Protocol", url.scheme), url.host, url.port)


class _Asked(Request):
    """A request whose fields are read from its head when somebody asks: most rules look at the path alone.

    Until then their slots are empty, and Python asks ``__getattr__``.
    """

    __slots__ = ("_forwarding", "_head")

    def __init__(
        self, head: "RequestHead", scheme: str, forwarding: "Forwarding | None", received: float
    ) -> None:
        self._head = head
        self._forwarding = forwarding
        self.method = head.method.decode("ascii")
        self.scheme = scheme
        self.authority = head.authority.decode("ascii")
        self.target = head.target.decode("ascii")
        self.version = head.version
        self.trailers = []
        self.received = received
        self.body_received = None
        self.edited = False
        self.asked = ""

    def __getattr__(self, name: str) -> object:
        if name not in {"fields", "accept_encoding"}:
            raise AttributeError(name)
        head = self._head
        fields = [(b"host", head.authority)]
        for line, values in head.special.items():
            if line in _FRAMING:
                fields += [(line, value) for value in values]
        fields += pairs_of(upstream_lines(head, self._forwarding))
        if name == "fields":
            self.fields = fields
            return fields
        said = [value for key, value in fields if key.lower() == b"accept-encoding"]
        self.accept_encoding = b", ".join(said)
        return self.accept_encoding


class _Given(Response):
    """An answer whose fields are read likewise."""

    __slots__ = ("_head",)

    def __init__(self, head: "ResponseHead") -> None:
        self._head = head
        self.status = head.status
        self.trailers = []
        self.edited = False

    def __getattr__(self, name: str) -> object:
        if name != "fields":
            raise AttributeError(name)
        special = self._head.special
        length = [(b"content-length", special[b"content-length"][0])] if b"content-length" in special else []
        self.fields = length + pairs_of(answer_lines(self._head))
        return self.fields


def request_of(head: "RequestHead", scheme: str, forwarding: "Forwarding | None", received: float) -> Request:
    """Return what a policy sees of a request. ``forwarding`` None: the head holds what it adds."""
    return _Asked(head, scheme, forwarding, received)


def write_request(request: Request, head: "RequestHead") -> "RequestHead":
    """Return the head that goes on: nothing is to be added to it by a Forwarding."""
    authority = next((value for name, value in request.fields if name.lower() == b"host"), head.authority)
    special = {b"host": [authority]}
    special.update({name: head.special[name] for name in _KEPT if name in head.special})
    return head._replace(
        target=request.target.encode("ascii"),
        authority=authority,
        special=special,
        plain=_lines(request.fields, _FRAMING_OR_HOST),
        suspect=False,
    )


def response_of(head: "ResponseHead") -> Response:
    """Return what a policy sees of an answer."""
    return _Given(head)


def write_response(response: Response, head: "ResponseHead") -> "ResponseHead":
    """Return the head that goes on."""
    special = {name: values for name, values in head.special.items() if name != b"connection"}
    return head._replace(plain=_lines(response.fields, _FRAMING), special=special)


def is_event_stream(response: Response) -> bool:
    """Tell whether an answer is an event stream that is not coded."""
    kind = response.get(b"content-type")
    coded = [value for value in response.get(b"content-encoding") if value.strip().lower() != b"identity"]
    return bool(kind) and kind[0].split(b";")[0].strip().lower() == b"text/event-stream" and not coded


def mapped_back(location: bytes, asked: bytes, upstream: bytes, scheme: str) -> bytes:
    """Return a Location that names the upstream's host as one that names the visitor's.

    ``asked`` is the Host that the visitor sent, ``upstream`` the one that the policy put in its place.
    """
    kind, mark, rest = location.partition(b"://")
    if not mark or kind.lower() not in (b"http", b"https"):
        return location
    end = min((at for at in map(rest.find, (b"/", b"?", b"#")) if at >= 0), default=len(rest))
    if rest[:end].lower() != upstream.lower():
        return location
    return scheme.encode("ascii") + b"://" + asked + rest[end:]


def lines_of(fields: "Fields | tuple[tuple[bytes, bytes], ...]") -> list[bytes]:
    """Write fields as lines."""
    return [name + b": " + value for name, value in fields]


def pairs_of(lines: list[bytes]) -> "Fields":
    """Read lines as fields."""
    return [(name, value.strip(b" \t")) for line in lines for name, _, value in (line.partition(b":"),)]


def _lines(fields: "Fields", without: frozenset[bytes]) -> list[bytes]:
    return [name + b": " + value for name, value in fields if name.lower() not in without]
