"""What is known of one connection, request and response: plain values that the edge fills.

Making them costs next to nothing; what rules see of them (:mod:`portway.policy.values`) is computed only
when a policy names it. Actions change the request and the response in place; ``edited`` says that they did.

Field names and values are bytes, names in any case, in the order of the wire. Times are seconds since 1970.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from portway.codec.event_stream import Message

Fields = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Tls:
    """The TLS of a connection. Before the handshake only ``sni`` and ``ja4`` are known."""

    sni: str = ""
    ja4: str = ""
    version: str = ""
    """``1.2`` or ``1.3``; "" before the handshake."""
    cipher_suite: str = ""
    """The IANA name, such as TLS_AES_128_GCM_SHA256."""
    alpn: str = ""
    client_certificate: bytes = b""
    """DER; empty without mutual TLS."""
    server_certificate: bytes = b""
    """DER of what the visitor was shown."""


def _nothing() -> int:
    return 0


def _no_results() -> dict[str, object]:
    return {}  # a lambda that says the type would make that type anew for each request


@dataclass(slots=True)
class Connection:
    """A visitor's connection. The addresses are those of TCP, or of a trusted PROXY header."""

    client_ip: str = "127.0.0.1"
    client_port: int = 0
    server_ip: str = "127.0.0.1"
    server_port: int = 0
    region: str = ""
    started: float = 0.0
    bytes_in: Callable[[], int] = _nothing
    """Bytes from the visitor so far."""
    bytes_out: Callable[[], int] = _nothing
    tls: Tls | None = None


@dataclass(slots=True)
class Endpoint:
    """The endpoint whose policy runs."""

    id: str = ""
    url: str = ""
    """``scheme://host[:port]``, as it is shown."""
    protocol: Literal["http", "https", "tcp", "tls"] = "https"
    host: str = ""
    port: int = 443


class _Head:
    """What requests and responses have in common."""

    __slots__ = ()
    fields: Fields
    edited: bool

    def get(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order; ``name`` in lower case."""
        return [value for key, value in self.fields if key.lower() == name]

    def add(self, name: bytes, value: bytes) -> None:
        """Append a field."""
        self.fields.append((name, value))
        self.edited = True

    def remove(self, names: Iterable[bytes]) -> list[bytes]:
        """Remove all values of these fields (lower case); return the names that were there."""
        wanted = set(names)
        gone = [key.lower() for key, _ in self.fields if key.lower() in wanted]
        if gone:
            self.fields = [each for each in self.fields if each[0].lower() not in wanted]
            self.edited = True
        return list(dict.fromkeys(gone))

    def set(self, name: bytes, value: bytes) -> None:
        """Put one value in the place of all that a field (lower case) had."""
        self.remove((name,))
        self.add(name, value)


@dataclass(slots=True)
class Request(_Head):
    """A request as the upstream would get it."""

    method: str = "GET"
    scheme: str = "https"
    authority: str = ""
    """Host and perhaps port, as in the Host field."""
    target: str = "/"
    """Path and query in origin form, as on the wire."""
    version: str = "HTTP/1.1"
    fields: Fields = field(default_factory=lambda: list[tuple[bytes, bytes]]())
    trailers: Fields = field(default_factory=lambda: list[tuple[bytes, bytes]]())
    received: float = 0.0
    """When the head was complete."""
    body_received: float | None = None
    """When the body was complete; None without one, or while it comes."""
    edited: bool = False
    accept_encoding: bytes | None = None
    """What the visitor said, whatever rules did to the field since; None: what the field says."""
    asked: str = ""
    """The full URL as it came, once a rule has rewritten it; "": none has."""

    @property
    def url(self) -> str:
        """The full URL."""
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(slots=True)
class Response(_Head):
    """A response as the visitor would get it."""

    status: int = 200
    fields: Fields = field(default_factory=lambda: list[tuple[bytes, bytes]]())
    trailers: Fields = field(default_factory=lambda: list[tuple[bytes, bytes]]())
    edited: bool = False


@dataclass(slots=True)
class Facts:
    """All that the rules of one request, or of one connection, may see.

    One object serves the request phase and the response phase: that is how ``actions.ngrok.*`` of the
    one can be read in the other. ``geo`` looks an address up, see :mod:`portway.policy.geo`.
    """

    connection: Connection = field(default_factory=Connection)
    endpoint: Endpoint = field(default_factory=Endpoint)
    request: Request | None = None
    response: Response | None = None
    results: dict[str, object] = field(default_factory=_no_results)
    """Result variables: the name below ``actions.ngrok`` → its map."""
    event: "Message | None" = None
    """The message of an event stream, in its phase."""
