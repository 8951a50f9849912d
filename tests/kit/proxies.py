"""Little proxies on loopback: CONNECT and SOCKS5, with or without TLS and a login, that write down all.

They know hosts by their own table, so that a test sees whether a name came unresolved.
"""

import asyncio
import ssl
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from base64 import b64decode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

PIECE = 65_536


class Login(NamedTuple):
    """A user and a password."""

    user: str
    password: str


class LittleProxy:
    """Speaks one of the two protocols. `routes` says which port of loopback a host's name means.

    With a `login` it lets nobody else through. `early` is sent in one piece with its last word.
    """

    def __init__(
        self, scheme: str, routes: dict[str, int], *, login: Login | None = None, early: bytes = b""
    ) -> None:
        """Be about to listen."""
        self.scheme = scheme
        self.targets: list[str] = []
        """What was asked for, ``host:port``, as it came."""
        self.logins: list[Login | None] = []
        """Who asked."""
        self.connected = 0
        """How many connections were made."""
        self.port = 0
        self._routes = routes
        self._login = login
        self._early = early
        self._running: dict[asyncio.Task[None], Writer] = {}

    def url(self, login: str = "") -> str:
        """Return its URL, with ``user:password`` in it if given."""
        return f"{self.scheme}://{login}{'@' if login else ''}localhost:{self.port}"

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = writer
        try:
            speak = self._connect if self.scheme in ("http", "https") else self._socks5
            with suppress(OSError, EOFError):
                target = await speak(reader, writer)
                if target:
                    await self._relay(reader, writer, target)
        finally:
            writer.transport.abort()
            del self._running[task]

    async def close(self) -> None:
        """Cut what is left."""
        running = list(self._running.items())
        for _, writer in running:
            writer.transport.abort()
        if running:
            await asyncio.wait([task for task, _ in running])

    # -- the two protocols

    async def _connect(self, reader: Reader, writer: Writer) -> int:
        request, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[:-1]
        method, where, version = request.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        known = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        assert known["host"] == where
        login = None
        if "proxy-authorization" in known:
            kind, _, encoded = known["proxy-authorization"].partition(" ")
            assert kind == "Basic"
            login = Login(*b64decode(encoded).decode().split(":", 1))
        self._note(where, login)
        if self._login not in (None, login):
            writer.write(
                b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=x\r\n"
                b"Content-Length: 4\r\n\r\nno!\n"
            )
            return 0
        port = self._routes.get(where.rpartition(":")[0].strip("[]"), 0)
        if not port:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return 0
        writer.write(b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n" + self._early)
        return port

    async def _socks5(self, reader: Reader, writer: Writer) -> int:
        version, count = await reader.readexactly(2)
        assert version == 5
        offered = await reader.readexactly(count)
        login = None
        if self._login is not None and 2 in offered:
            writer.write(b"\x05\x02")
            assert (await reader.readexactly(1)) == b"\x01"
            login = Login(await _text(reader), await _text(reader))
            writer.write(b"\x01\x00" if login == self._login else b"\x01\x01")
        elif self._login is None and 0 in offered:
            writer.write(b"\x05\x00")
        else:
            writer.write(b"\x05\xff")
        if self._login not in (None, login):
            self._note("", login)
            return 0
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        host = await _host(reader)
        self._note(f"{host}:{int.from_bytes(await reader.readexactly(2), 'big')}", login)
        port = self._routes.get(host, 0)
        writer.write((b"\x05\x00" if port else b"\x05\x04") + b"\x00\x01\x7f\x00\x00\x01\x00\x50")
        if port:
            writer.write(self._early)
        return port

    def _note(self, where: str, login: Login | None) -> None:
        if where:
            self.targets.append(where)
        self.logins.append(login)

    async def _relay(self, reader: Reader, writer: Writer, port: int) -> None:
        """Carry bytes both ways until one end has ended."""
        self.connected += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            with suppress(OSError):
                await ways
        finally:
            far_writer.transport.abort()


async def _copy(reader: Reader, writer: Writer) -> None:
    """Carry one way; its end is an end of both, which is enough for a session."""
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    raise ConnectionAbortedError


async def _text(reader: Reader) -> str:
    return (await reader.readexactly((await reader.readexactly(1))[0])).decode()


async def _host(reader: Reader) -> str:
    """Read an address that must be a name or an IPv4 address."""
    kind = (await reader.readexactly(1))[0]
    if kind == 1:
        return ".".join(map(str, await reader.readexactly(4)))
    assert kind == 3
    return await _text(reader)


@asynccontextmanager
async def little_proxy(
    scheme: str,
    routes: dict[str, int],
    *,
    login: Login | None = None,
    tls: ssl.SSLContext | None = None,
    early: bytes = b"",
) -> AsyncGenerator[LittleProxy]:
    """Run a little proxy for the time of the context; `tls` is for an https one."""
    proxy = LittleProxy(scheme, routes, login=login, early=early)
    async with listening(proxy.serve, tls) as proxy.port:
        try:
            yield proxy
        finally:
            await proxy.close()


@asynccontextmanager
async def listening(
    serve: Callable[[Reader, Writer], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncGenerator[int]:
    """Run any streams server on a free port of loopback; give the port."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
