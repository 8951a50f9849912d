"""Connections through real little proxies, plain and by TLS, and through hostile ones."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.clock import on_fake_clock
from tests.kit.proxies import Login, Reader, Writer, listening, little_proxy
from tests.kit.sessions import MemoryTransport

from portway.errors import ConfigError, ConnectError
from portway.net.conversation import HEAD_LIMIT
from portway.net.proxy import dial_through
from portway.net.proxy_url import Proxy, parse_proxy_url

SCHEMES = ["http", "https", "socks5", "socks5h"]
PATIENCE = 20.0


class Ear(asyncio.BufferedProtocol):
    """Remembers what it reads, through a buffer that is smaller than what comes."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(5))
        self.received = b""
        self.transport: asyncio.Transport | None = None
        self.lost = asyncio.Event()
        self.news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert not isinstance(transport, asyncio.Protocol)
        self.transport = transport  # pyright: ignore[reportAttributeAccessIssue] -- uvloop's is none by class

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert self.transport is not None, "connected first"
        self.received += bytes(self.buffer[:nbytes])
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    async def until(self, received: bytes) -> None:
        """Wait until so much has come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.received) < len(received):
                self.news.clear()
                await self.news.wait()
        assert self.received == received


@pytest.fixture(autouse=True)
def trusted(certs: Certs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine trust the certificates of the proxies."""
    bundle = tmp_path / "machine.pem"
    bundle.write_bytes(certs.ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


async def upper(reader: Reader, writer: Writer) -> None:
    """Greet, then send back in capitals what comes."""
    writer.write(b"hello ")
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.close()


def tls_of(scheme: str, certs: Certs) -> ssl.SSLContext | None:
    return certs.server if scheme == "https" else None


async def through(url: str, host: str = "service.test", port: int = 4443, timeout: float = PATIENCE) -> Ear:
    _, ear = await dial_through(parse_proxy_url(url, "it"), host, port, Ear, timeout=timeout)
    return ear


async def close(ear: Ear) -> None:
    assert ear.transport is not None
    ear.transport.abort()
    await ear.lost.wait()


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize("login", ["", "ann:s%3Acret"])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_connection(scheme: str, login: str, certs: Certs) -> None:
    """The name arrives unresolved, the login in clear, and nothing behind the reply is lost."""
    wanted = Login("ann", "s:cret") if login else None
    async with (
        listening(upper) as port,
        little_proxy(
            scheme, {"service.test": port}, login=wanted, tls=tls_of(scheme, certs), early=b"early bird "
        ) as proxy,
    ):
        ear = await through(proxy.url(login))
        assert proxy.targets == ["service.test:4443"]
        assert proxy.logins == [wanted]
        await ear.until(b"early bird hello ")
        assert ear.transport is not None
        ear.transport.write(b"and more")
        await ear.until(b"early bird hello AND MORE")
        await close(ear)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_much_behind_the_reply(scheme: str, certs: Certs) -> None:
    """More than one buffer of it: what the conversation has not read stays for the protocol."""
    early = bytes(range(256)) * 200
    assert len(early) > HEAD_LIMIT
    async with (
        listening(upper) as port,
        little_proxy(scheme, {"service.test": port}, tls=tls_of(scheme, certs), early=early) as proxy,
    ):
        ear = await through(proxy.url())
        await ear.until(early + b"hello ")
        await close(ear)


@pytest.mark.row("A18")
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_refusals(scheme: str, certs: Certs) -> None:
    """A missing and a wrong login, and a host that the proxy does not reach: each says what to do."""
    tls = tls_of(scheme, certs)
    async with little_proxy(scheme, {}, login=Login("ann", "right"), tls=tls) as proxy:
        with pytest.raises(ConnectError, match="put user:password@ before the host in its URL") as missing:
            await through(proxy.url())
        with pytest.raises(ConnectError, match="refuses the user and password of its URL") as wrong:
            await through(proxy.url("ann:secret"))
        with pytest.raises(ConnectError, match=r"service\.test:4443") as unknown:
            await through(proxy.url("ann:right"))
    assert missing.value.step == wrong.value.step == unknown.value.step == "proxy"
    assert "secret" not in str(wrong.value)
    if scheme in ("http", "https"):
        assert "answered 407 Proxy Authentication Required" in str(missing.value)
    assert proxy.connected == 0


@asynccontextmanager
async def says(*pieces: bytes, end: bool = True) -> AsyncGenerator[str]:
    """Run a proxy that sends this, whatever it hears; give its address."""

    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            await reader.read(1)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if end:
                writer.write_eof()
            while await reader.read(1000):
                pass
        except OSError:
            pass  # hung up on, as it deserves
        finally:
            writer.transport.abort()

    async with listening(serve) as port:
        yield f"localhost:{port}"


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    ("scheme", "pieces", "text"),
    [
        ("http", [], "closed the connection"),
        ("http", [b"HTTP/1.1 200 O"], "closed the connection"),
        ("http", [b"HTTP/1.1 100 Continue\r\n\r\n"], "closed the connection"),
        ("http", [b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"x" * 997] * 64], "head of more than 16384 bytes"),
        ("http", [b"\x05\x00"], "does not answer in HTTP"),
        (
            "http",
            [b"HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n", *[b"x" * 1000] * 64],
            "answered 403",
        ),
        ("socks5", [], "closed the connection"),
        ("socks5", [b"\x05"], "closed the connection"),
        ("socks5", [b"\x05\x00", b"\x05\x00\x00\x01\x00"], "closed the connection"),
        ("socks5", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "does not answer in SOCKS5"),
    ],
)
async def test_hostile_proxies(scheme: str, pieces: list[bytes], text: str) -> None:
    async with says(*pieces) as address:
        with pytest.raises(ConnectError, match=text) as caught:
            await through(f"{scheme}://ann:secret@{address}")
    assert caught.value.step == "proxy"
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_ends_with_its_reply() -> None:
    """It connected us, and the host was done: what came is still heard, then the end."""
    async with says(b"HTTP/1.1 200 OK\r\n\r\nfarewell") as address:
        ear = await through(f"http://{address}")
        await ear.lost.wait()
        assert ear.received == b"farewell"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_no_proxy_there(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        port = taken.getsockname()[1]
        with pytest.raises(ConnectError) as caught:
            await through(f"{scheme}://ann:secret@127.0.0.1:{port}")
    assert caught.value.step == "proxy"
    assert str(caught.value) == (
        f"the proxy {scheme}://127.0.0.1:{port} cannot be reached: "
        f"cannot connect to 127.0.0.1:{port}: connection refused"
    )


# -- TLS with the proxy itself


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    ("names", "known", "reason"),
    [((), False, "unable to get local issuer"), (("other.test",), True, "Hostname mismatch")],
)
async def test_the_certificate_of_the_proxy_is_verified(
    names: tuple[str, ...], known: bool, reason: str, tmp_path: Path
) -> None:
    """By this machine's authorities, for the name in its URL; nothing is said before."""
    foreign = make_certs(*names)
    if known:
        (tmp_path / "machine.pem").write_bytes(foreign.ca)
    async with little_proxy("https", {}, tls=foreign.server) as proxy:
        with pytest.raises(ConnectError, match="by TLS: its certificate is not valid") as caught:
            await through(proxy.url("ann:secret"))
    assert caught.value.step == "proxy"
    assert reason in str(caught.value)
    assert proxy.logins == []


async def test_a_plain_proxy_spoken_to_by_tls() -> None:
    async with says(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        with pytest.raises(ConnectError, match="cannot be reached by TLS: ") as caught:
            await through(f"https://{address}")
    assert caught.value.step == "proxy"
    async with says() as address:
        with pytest.raises(ConnectError, match="cannot be reached by TLS: "):
            await through(f"https://{address}")


async def test_authorities_that_cannot_be_read_are_not_the_proxys_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> ssl.SSLContext:
        raise ConfigError("cannot read CA certificates")

    monkeypatch.setattr("portway.net.proxy.agent_context", broken)
    with pytest.raises(ConfigError, match="CA certificates"):
        await through("https://localhost:1")


# -- time, and giving up


@pytest.mark.parametrize(
    ("scheme", "first"),
    [("http", b""), ("http", b"H"), ("https", b""), ("https", b"\x16"), ("socks5", b""), ("socks5", b"\x05")],
)
async def test_cancelling_leaves_no_socket(scheme: str, first: bytes) -> None:
    """Cancelled while the proxy is silent, in TLS too; the guard on sockets does the checking."""
    heard = asyncio.Event()
    held: list[Writer] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        held.append(writer)
        writer.write(first)
        heard.set()
        while await reader.read(1000):
            pass

    async with listening(serve) as port:
        url = f"{scheme}://localhost:{port}"
        task = asyncio.get_running_loop().create_task(through(url))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held[0].transport.abort()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_the_factory_raises(scheme: str, certs: Certs) -> None:
    def refuse() -> Ear:
        raise ConnectError("tls", "no such name")

    async with (
        listening(upper) as port,
        little_proxy(scheme, {"h": port}, tls=tls_of(scheme, certs)) as proxy,
    ):
        with pytest.raises(ConnectError, match="no such name"):
            await dial_through(parse_proxy_url(proxy.url(), "it"), "h", 1, refuse, timeout=PATIENCE)


def silent(answers: bytes, when: float) -> Callable[..., object]:
    """Return a `create_connection` on whose other end somebody says `answers` at a time, and no more."""

    async def create_connection(
        factory: Callable[[], asyncio.BufferedProtocol], host: str, port: int
    ) -> tuple[MemoryTransport, asyncio.BufferedProtocol]:
        ours, theirs = MemoryTransport(protocol := factory()), MemoryTransport(Ear())
        theirs.join(ours)
        ours.join(theirs)
        asyncio.get_running_loop().call_later(when, theirs.write, answers)
        return ours, protocol

    return create_connection


@pytest.mark.row("A18")
@pytest.mark.parametrize(("scheme", "answers"), [("http", b"HTTP/1.1 200 OK\r\n"), ("socks5", b"\x05\x00")])
def test_the_deadline(scheme: str, answers: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one for everything: a proxy that says a little in time gains none."""
    proxy = Proxy(scheme, "proxy.test", 1, "ann", "secret")

    @on_fake_clock
    async def give_up() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "create_connection", silent(answers, 9.9))
        start = loop.time()
        with pytest.raises(ConnectError) as caught:
            await dial_through(proxy, "service.test", 4443, Ear, timeout=10)
        assert caught.value.step == "proxy"
        assert (
            str(caught.value)
            == f"the proxy {scheme}://proxy.test:1 did not connect to service.test:4443 within 10 s"
        )
        assert loop.time() == start + 10

    give_up()
