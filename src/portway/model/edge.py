"""Edges, their routes and backends as the control plane keeps them, and the rules for what people write.

An edge is a set of addresses (*hostports*) with modules: what happens to who visits them, and which backend
serves them. Each hostport is an endpoint. An https edge has its modules on routes, which are chosen by path.
"""

import json
from collections.abc import Mapping, Sequence
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from portway.errors import Error
from portway.model.url import Url, normal_host

PREFIXES: Final[Mapping[str, str]] = {"tcp": "edgtcp", "tls": "edgtls", "https": "edghts"}
"""Prefixes of the identifiers of edges."""
BACKEND_PREFIXES: Final[Mapping[str, str]] = {
    "tunnel_group": "bkdtg",
    "weighted": "bkdwd",
    "failover": "bkdfo",
    "http_response": "bkdhr",
    "static": "bkdsc",
}
"""Prefixes of the identifiers of backends."""
ROUTE_PREFIX: Final = "edghtsrt"

LABELS: Final = 32
"""Labels of one tunnel or one tunnel group; more are ERR_NGROK_6508."""
LABEL_KEY: Final = 255
"""Bytes of a label's key, at least one; else ERR_NGROK_6509."""
LABEL_VALUE: Final = 1024
"""Bytes of a label's value, at least one; else ERR_NGROK_6510."""
HOSTPORTS: Final = 100
"""Addresses of one edge; more are ERR_NGROK_7129."""
ROUTES: Final = 100
"""Routes of one edge; more are ERR_NGROK_7128."""
MATCH: Final = 1024
"""Bytes of a route's match; more are ERR_NGROK_7135."""
HTTPS_PORT: Final = 443

Modules = Mapping[str, Mapping[str, Any]]
"""Modules by name, each as it was written: ``{"backend": {"enabled": true, "backend_id": "…"}}``."""


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge. ``hostports`` are as they were given, in order."""

    id: str
    account_id: str
    kind: str
    description: str
    metadata: str
    created_at: float
    modules: Modules
    hostports: Sequence[str] = ()


class EdgeEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One address of an edge, which is an endpoint: what is reserved for it is named."""

    id: str
    account_id: str
    edge_id: str
    hostport: str
    url: str
    place: str
    domain_id: str | None
    tcp_addr_id: str | None
    created_at: float
    description: str = ""
    metadata: str = ""
    traffic_policy: str = ""

    @property
    def binding(self) -> str:
        """Edges are public."""
        return "public"

    @property
    def pooling_enabled(self) -> bool:
        """An edge shares its addresses with nobody."""
        return False

    @property
    def updated_at(self) -> float:
        """An address never changes."""
        return self.created_at


class EdgeRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route of an https edge."""

    id: str
    account_id: str
    edge_id: str
    description: str
    metadata: str
    created_at: float
    match_type: str
    match: str
    modules: Modules


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend; ``spec`` are its kind's own fields."""

    id: str
    account_id: str
    kind: str
    description: str
    metadata: str
    created_at: float
    spec: Mapping[str, Any]


def place_of(url: Url) -> str:
    """Name the address that a URL has: https and tls share theirs, http has one of its own."""
    if url.scheme == "tcp":
        return f"tcp {url.hostport}"
    return f"{'http' if url.scheme == 'http' else 'tls'} {url.host}"


def read_hostport(text: str, kind: str, public_port: int) -> Url:
    """Read an address of an edge; ``public_port`` is the one that stands for 443 here.

    Raises Error 7104, 7112, 7116 or the codes of host names.
    """
    name, colon, digits = text.strip().rpartition(":")
    if not colon or not name or not (digits.isascii() and digits.isdigit()):
        raise Error(f"{text[:300]!r} is not of the form host:port.", 7104)
    port = int(digits) if len(digits) <= 5 else 0
    if not 1 <= port <= 65_535:
        raise Error(f"The port of {text[:300]!r} is outside 1–65535.", 7112)
    try:
        host = normal_host(name)
    except Error as error:
        raise Error(f"{text[:300]!r} is not of the form host:port: {error.message}", 7104) from error
    if kind == "tcp":
        return Url("tcp", host, port)
    if port not in {HTTPS_PORT, public_port}:
        raise Error(f"The port of a domain is {HTTPS_PORT}; {text[:300]!r} has another.", 7116)
    return Url(kind, host, public_port)


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that cannot be. Raises Error 6508, 6509, 6510 or 6531."""
    if len(labels) > LABELS:
        raise Error(f"There are {len(labels)} labels; {LABELS} are allowed.", 6508)
    for key, value in labels.items():
        if "=" in key or "=" in value:
            raise Error(f"The label {key[:80]!r} holds '=', which separates keys from values.", 6531)
        if not 1 <= len(key.encode()) <= LABEL_KEY:
            raise Error(f"The key of a label has 1 to {LABEL_KEY} bytes; {key[:80]!r} has not.", 6509)
        if not 1 <= len(value.encode()) <= LABEL_VALUE:
            raise Error(f"The value of a label has 1 to {LABEL_VALUE} bytes; that of {key!r} has not.", 6510)


def check_match(match_type: str, match: str) -> None:
    """Refuse a route's match. Raises Error 7123, 7130, 7131 or 7135."""
    if match_type not in {"exact_path", "path_prefix"}:
        raise Error(f"The match type {match_type[:80]!r} is not exact_path or path_prefix.", 7130)
    if not match:
        raise Error("A route needs a match: the path that it serves.", 7123)
    if len(match.encode()) > MATCH:
        raise Error(f"The match of a route has at most {MATCH} bytes.", 7135)
    if not match.startswith("/") or any(each in match for each in "?#") or not match.isprintable():
        raise Error(f"The match {match[:80]!r} is not a path: it starts with a slash.", 7131)
    plain = normal_path(match.encode())
    if plain != match:
        raise Error(f"Paths are compared decoded and without dots or '//': write {plain[:80]!r}.", 7131)


def normal_path(target: bytes) -> str:
    """Return the path by which a request's target is routed: as its upstream may read it.

    Escapes are resolved, and so are ``.``, ``..`` and doubled slashes: written in another way, a path must
    not come past the route that guards it. The target itself goes on as it came.
    """
    path = target.partition(b"?")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    text = path.decode("utf-8", "replace")
    if "//" in text or "/." in text:
        ending = "/" if text.endswith(("/", "/.", "/..")) else ""
        text = "/" + normpath(text).lstrip("/")
        text = text if text.endswith("/") else text + ending
    return text


def written(value: Mapping[str, Any]) -> str:
    """Write modules, or the fields of a backend, for the store."""
    return json.dumps(value, separators=(",", ":"))
