"""HTTP requests that the service makes to targets which somebody else names.

::

    client = WebClient(guard)
    answer = await client.request(WebRequest("GET", "https://idp.example/.well-known/openid-configuration"))

The library below speaks HTTP/1.1; what is ours is that nothing is trusted. A name is resolved here, and each
address is shown to the guard before a connection is made to just that address: what the name says a moment
later does not matter. Redirects are followed here, one by one, through the same door, and take no credentials
to another origin. One deadline holds for everything; a body is bounded while it comes and while it is
decoded, so that neither an endless answer nor one that unfolds to gigabytes takes more than its limit. No
proxy and no password file of the environment is asked.

The library is imported at the first request, in a thread: it takes a quarter of a second.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast
from urllib.parse import urljoin, urlsplit

from portway.errors import PortwayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import httpcore2

Headers = Sequence[tuple[str, str]]
Kind = Literal[
    "url", "refused", "resolve", "connect", "tls", "timeout", "protocol", "length", "redirects", "busy"
]
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Name and port → addresses, best first. Raises OSError."""

AT_ONCE: Final = 64
"""Requests of one client that run at a time by default; others wait for their turn, within their deadline."""
REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_PRIVATE: Final = frozenset(("authorization", "cookie", "proxy-authorization"))
"""Fields that go to the origin they were meant for, and to no other."""
_OF_BODY: Final = frozenset(("content-type", "content-length", "content-encoding", "transfer-encoding"))


class WebFailure(PortwayError):
    """A request got no answer. ``kind`` is for programs, ``message`` says it in a sentence."""

    def __init__(self, kind: Kind, message: str) -> None:
        """Take what kind of failure it is and a sentence."""
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message


class Guard(Protocol):
    """Who may be reached (``model/guard.py``)."""

    def refusal(self, address: str, port: int) -> str:
        """Say why an IP address may not be reached; "" if it may."""
        ...

    def owns(self, port: int) -> bool:
        """Tell whether the service listens on a port."""
        ...

    def allows(self, address: str) -> bool:
        """Tell whether an address may be reached whatever else holds."""
        ...


@dataclass(frozen=True, slots=True)
class WebRequest:
    """One request. ``timeout`` is in seconds and holds for all of it, redirects included."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    timeout: float = 10.0
    body_limit: int = 1 << 20
    """Bytes of the answer's body, decoded. More is a failure."""
    redirects: int = 0
    """How many may be followed; 0: an answer that redirects is the answer."""

    def __repr__(self) -> str:
        """Show where it goes: headers and bodies hold secrets, and so may a query."""
        return f"<WebRequest {self.method} {self.url.partition('?')[0]}>"


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """The answer, whole."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    address: str
    """The IP address that answered."""
    seconds: float
    """From the request to the end of its answer."""
    url: str
    """What was asked last, after redirects."""
    redirects: int = 0

    def header(self, name: str) -> str:
        """Return the first value of a field, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


class WebClient:
    """Makes requests. One of them serves a whole process; ``close`` it at the end."""

    def __init__(
        self,
        guard: Guard,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        """Reach only what the guard permits. ``tls`` None: trust the authorities of this system."""
        self._guard = guard
        self._tls = tls
        self._resolve = resolve or resolve_here
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._making = asyncio.Lock()
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self._closed = False

    def __repr__(self) -> str:
        """Show the guard."""
        return f"<WebClient {self._guard!r}>"

    async def request(self, request: WebRequest) -> WebAnswer:
        """Send a request, follow its redirects, return the answer. Raises WebFailure.

        Cancelled: its connection is closed.
        """
        try:
            async with asyncio.timeout(request.timeout), self._turns:
                return await self._follow(request)
        except TimeoutError as error:
            raise WebFailure("timeout", f"no whole answer within {request.timeout:g} s") from error

    async def close(self) -> None:
        """End what is open; nothing may be asked any more."""
        self._closed = True
        if self._pool is not None:
            await self._pool.aclose()

    async def _follow(self, request: WebRequest) -> WebAnswer:
        clock = asyncio.get_running_loop().time
        started = clock()
        asked, followed = request, 0
        while True:
            answer = await self._ask(asked)
            target = answer.header("location")
            if answer.status not in REDIRECTS or not target or not request.redirects:
                return replace(answer, seconds=clock() - started, redirects=followed)
            followed += 1
            if followed > request.redirects:
                raise WebFailure("redirects", f"redirected more than {request.redirects} times")
            asked = redirected(asked, answer.status, target)

    async def _ask(self, request: WebRequest) -> WebAnswer:
        check_url(request.url)
        pool = await self._ready()
        import httpcore2

        headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in request.headers]
        if "accept-encoding" not in {name.lower() for name, _ in request.headers}:
            headers.append((b"Accept-Encoding", b"gzip"))
        try:
            async with pool.stream(request.method, request.url, headers=headers, content=request.body) as got:
                body = await _read(got, request.body_limit)
                stream: Any = cast("dict[str, Any]", got.extensions).get("network_stream")
                ends: Any = stream.get_extra_info("server_addr") if stream is not None else None
                fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in got.headers]
                return WebAnswer(got.status, fields, body, str(ends[0]) if ends else "", 0.0, request.url)
        except (httpcore2.ConnectError, httpcore2.TimeoutException) as error:
            kind: Kind = "tls" if _is_tls(error) else "connect"
            raise WebFailure(kind, f"no connection: {_said(error)}") from error
        except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, UnicodeError) as error:
            raise WebFailure("protocol", f"the answer is no HTTP: {_said(error)}") from error
        except httpcore2.NetworkError as error:
            raise WebFailure("protocol", f"the connection broke off: {_said(error)}") from error

    async def _ready(self) -> "httpcore2.AsyncConnectionPool":
        if self._closed:
            raise WebFailure("busy", "the service is stopping")
        async with self._making:
            if self._pool is None:
                self._pool = await asyncio.to_thread(self._make)
            return self._pool

    def _make(self) -> "httpcore2.AsyncConnectionPool":
        """Import the library and read this system's authorities: slow, so in a thread."""
        import httpcore2

        tls = self._tls or ssl.create_default_context()
        backend = guarded_backend(self._guard, self._resolve)
        return httpcore2.AsyncConnectionPool(
            tls, max_connections=self._at_once, max_keepalive_connections=0, network_backend=backend
        )


async def resolve_here(host: str, port: int) -> list[str]:
    """Ask this system for the addresses of a name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def check_url(url: str) -> None:
    """Raise WebFailure for what is no URL of http or https that a request can be sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WebFailure("url", f"not a URL: {error}") from error
    if any(ord(c) <= 32 or ord(c) == 127 for c in url) or not url.isascii():
        raise WebFailure("url", "the URL holds a character that must be escaped")
    if parts.scheme not in ("http", "https"):
        raise WebFailure("url", "the URL is neither of http nor of https")
    if not parts.hostname or port == 0:
        raise WebFailure("url", "the URL names no host, or a port that is none")
    if parts.username is not None or parts.password is not None:
        raise WebFailure("url", "the URL holds a user name or a password")


def redirected(request: WebRequest, status: int, location: str) -> WebRequest:
    """Return the request that an answer redirects to (RFC 9110 §15.4). Raises WebFailure."""
    try:
        url = urljoin(request.url, location).partition("#")[0]
    except ValueError as error:
        raise WebFailure("url", f"redirected to what is no URL: {error}") from error
    check_url(url)
    before, after = urlsplit(request.url), urlsplit(url)
    if before.scheme == "https" and after.scheme == "http":
        raise WebFailure("refused", "redirected from https to http")
    gone: frozenset[str] = frozenset()
    if _origin(request.url) != _origin(url):
        gone |= _PRIVATE
    method, body = request.method, request.body
    if (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST"):
        method, body, gone = "GET", b"", gone | _OF_BODY
    gone |= {"host"}
    headers = [(name, value) for name, value in request.headers if name.lower() not in gone]
    return replace(request, method=method, url=url, body=body, headers=headers)


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


async def _read(answer: "httpcore2.Response", limit: int) -> bytes:
    """Read and decode a body of at most ``limit`` bytes. Raises WebFailure."""
    coding = [value.decode("latin-1").strip().lower() for name, value in answer.headers
              if name.lower() == b"content-encoding"]  # fmt: skip
    coding = [each for each in coding if each not in ("", "identity")]
    decode: Any = None
    if coding in (["gzip"], ["x-gzip"], ["deflate"]):
        decode = zlib.decompressobj(47 if "gzip" in coding[0] else 15)
    elif coding:
        raise WebFailure("protocol", "the answer is coded in a way that was not asked for")
    raw, body = 0, bytearray()
    pieces: AsyncIterator[bytes] = answer.aiter_stream()
    async for piece in pieces:
        raw += len(piece)
        if decode is not None:
            try:
                piece = decode.decompress(piece, limit + 1 - len(body))
            except zlib.error as error:
                raise WebFailure("protocol", "the answer's body cannot be decoded") from error
        body += piece
        if raw > limit or len(body) > limit:
            raise WebFailure("length", f"the answer is longer than {limit} bytes")
    if decode is not None and raw and not decode.eof:
        raise WebFailure("protocol", "the answer's body breaks off")
    return bytes(body)


def _is_tls(error: BaseException) -> bool:
    return isinstance(error.__cause__, ssl.SSLError) or isinstance(error.__context__, ssl.SSLError)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def guarded_backend(guard: Guard, resolve: Resolve) -> "httpcore2.AsyncNetworkBackend":
    """Make what opens connections for the library: to addresses that the guard has seen."""
    import httpcore2

    inner = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    class Guarded(httpcore2.AsyncNetworkBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: "Iterable[Any] | None" = None,
        ) -> httpcore2.AsyncNetworkStream:
            failure: BaseException | None = None
            for address in await permitted(guard, resolve, host, port):
                try:
                    stream = await inner.connect_tcp(address, port, timeout, local_address, socket_options)
                except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                    failure = error
                    continue
                ours, theirs = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
                try:
                    refuse_self(guard, host, port, ours, theirs)
                except WebFailure:
                    await stream.aclose()
                    raise
                return stream
            raise failure or httpcore2.ConnectError(f"{host} has no address")

    return Guarded()


def refuse_self(guard: Guard, host: str, port: int, ours: "Any", theirs: "Any") -> None:
    """Refuse a connection that has come out at this machine, at a port of ours. Raises WebFailure."""
    if ours and theirs and ours[0] == theirs[0] and guard.owns(port) and not guard.allows(theirs[0]):
        raise WebFailure("refused", f"{host} is this machine, and the port is ours")


async def permitted(guard: Guard, resolve: Resolve, host: str, port: int) -> list[str]:
    """Resolve a name; return the addresses that may be reached. Raises WebFailure."""
    try:
        found = await resolve(host.strip("[]"), port)
    except (OSError, UnicodeError) as error:
        raise WebFailure("resolve", f"{host} cannot be resolved") from error
    refused = {address: why for address in found if (why := guard.refusal(address, port))}
    if refused and len(refused) == len(found):
        address, why = next(iter(refused.items()))
        said = host if host == address else f"{host} is {address}, which"
        raise WebFailure("refused", f"{said} {why}: it may not be reached")
    return [address for address in found if address not in refused]
