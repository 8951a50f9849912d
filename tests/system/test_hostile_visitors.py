"""Visitors and upstreams that mean harm, against a running service: smuggling, slowness, floods, garbage.

The grammar of heads and bodies is proved beside the codec. Here the whole product must answer, must
forward nothing that two readers could understand differently, and must not let others feel it.
"""

import asyncio
import re
import resource
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, suppress
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.agent import code
from tests.kit.eventually import eventually, eventually_async
from tests.kit.product import running_agent
from tests.kit.stage import MIB, Stage, stage, unharmed
from tests.kit.traffic import get, server, visitor

pytestmark = pytest.mark.xdist_group("hostile")

DOMAIN = "portway.localhost"
HOST = f"victim.{DOMAIN}"
MANY = 10_000
"""Connections that come and say nothing; a fifth of them in the short form, as of the others."""
KIB = 1024
PIPELINED = 20_000
"""Requests that are sent at once."""
TIMES = 2_000
"""Transfers that are broken off, each way."""


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """One service for all visitors."""
    with stage(tmp_path_factory.mktemp("hostile")) as made:
        yield made


class Victim:
    """An upstream that answers what a test tells it to, and remembers every byte it gets."""

    def __init__(self) -> None:
        """Answer a plain 200."""
        self.got = bytearray()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nvictim"
        self.endless = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each time that a head is complete; a test's bodies come with their heads."""
        held = b""
        while piece := await reader.read(65_536):
            self.got += piece
            held += piece
            heads = held.count(b"\r\n\r\n")
            if heads and self.endless:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
                while True:
                    writer.write(bytes(65_536))
                    await writer.drain()
            if heads:
                held = b""
                writer.write(self.answer * heads)
                await writer.drain()


@pytest.fixture(scope="module")
def victims_port(on: Stage) -> Generator[int]:
    """Put a victim online over http and https; return the port where each test's upstream listens."""
    with ExitStack() as open_:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        for scheme in ("http", "https"):
            open_.enter_context(running_agent(on.service, "http", str(port), "--url", f"{scheme}://{HOST}"))
        yield port


@pytest.fixture
async def harmed(victims_port: int) -> AsyncGenerator[Victim]:
    """A victim of this test's own."""
    made = Victim()
    async with server(made.serve, port=victims_port):
        yield made


async def say(port: int, *pieces: bytes, tls: ssl.SSLContext | None = None, name: str = HOST) -> bytes:
    """Send bytes and return all that comes back until the service closes, in order or not."""
    back = bytearray()
    async with visitor(port, tls=tls, name=name) as (reader, writer):
        writer.writelines(pieces)
        with suppress(ConnectionError):
            while piece := await asyncio.wait_for(reader.read(65_536), 20):
                back += piece
    return bytes(back)


def statuses(answer: bytes) -> list[int]:
    """Return the status of every answer in a row of answers."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3})", answer)]


def tls(on: Stage) -> ssl.SSLContext:
    """Trust the service."""
    return ssl.create_default_context(cafile=on.known.ca_cert)


# -- requests that two readers could understand differently ------------------------------------------

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n"
AMBIGUOUS = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n",
    "equal lengths": b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "list of lengths": b"Content-Length: 0, 0\r\n\r\n",
    "plus": b"Content-Length: +0\r\n\r\n",
    "hexadecimal": b"Content-Length: 0x0\r\n\r\n",
    "negative": b"Content-Length: -1\r\n\r\n",
    "no length": b"Content-Length: \r\n\r\n",
    "length with a blank": b"Content-Length: 1 0\r\n\r\n",
    "digits of another script": "Content-Length: \u0660\r\n\r\n".encode(),
    "xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "gzip": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded": b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded value": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare CR": b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL": b"X: y\0\r\n\r\n",
    "no colon": b"Transfer-Encoding\r\n\r\n",
    "no name": b": chunked\r\n\r\n",
    "two hosts": b"Host: tenant.portway.localhost\r\n\r\n",
}


@pytest.mark.parametrize("fields", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_ambiguous_requests_are_refused_and_never_forwarded(
    on: Stage, harmed: Victim, fields: bytes
) -> None:
    answer = await say(
        on.known.http_port, b"POST / HTTP/1.1\r\nHost: victim.portway.localhost\r\n" + fields + SMUGGLED
    )
    assert statuses(answer) == [400]
    assert b"Connection: close" in answer
    assert bytes(harmed.got) == b""


@pytest.mark.parametrize(
    "body",
    [b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
     b"+5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n",
     b"fffffffffffffffff\r\n", b"-1\r\n"],
)  # fmt: skip
async def test_malformed_chunks_end_the_connection(on: Stage, harmed: Victim, body: bytes) -> None:
    harmed.answer = b""
    head = b"POST / HTTP/1.1\r\nHost: victim.portway.localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(await say(on.known.http_port, head + body + SMUGGLED)) == [400]
    assert b"/smuggled" not in harmed.got


async def test_heads_beyond_the_limits(on: Stage, harmed: Victim) -> None:
    first = b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\n"
    async with unharmed(on):
        for fields in (b"X: y\r\n" * 500, b"X: " + b"y" * MIB + b"\r\n"):
            answer = await say(on.known.http_port, first + fields + b"\r\n")
            assert statuses(answer) == [431]
        big = first + b"X: " + b"y" * (MIB - 200) + b"\r\nConnection: close\r\n\r\n"
        assert statuses(await say(on.known.http_port, big)) == [200]
    assert len(harmed.got) > MIB - 200


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (b"GET http://tenant.portway.localhost/ HTTP/1.1", 400),
        (b"GET https://victim.portway.localhost/ HTTP/1.1", 421),
        (b"GET http://victim.portway.localhost@tenant.portway.localhost/ HTTP/1.1", 400),
        (b"GET ftp://victim.portway.localhost/ HTTP/1.1", 400),
        (b"GET victim.portway.localhost:80 HTTP/1.1", 400),
        (b"CONNECT victim.portway.localhost:80 HTTP/1.1", 501),
        (b"CONNECT / HTTP/1.1", 501),
        (b"GET * HTTP/1.1", 400),
        (b"GET /#fragment HTTP/1.1", 400),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET /", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 505),
    ],
)
async def test_other_forms_of_the_request_line(on: Stage, harmed: Victim, first: bytes, status: int) -> None:
    raw = first + b"\r\nHost: victim.portway.localhost\r\nConnection: close\r\n\r\n"
    assert statuses(await say(on.known.http_port, raw)) == [status]
    assert bytes(harmed.got) == b""


async def test_tenants_on_one_connection_get_their_own_requests_only(on: Stage, harmed: Victim) -> None:
    hosts = [HOST, f"tenant.{DOMAIN}", f"nobody.{DOMAIN}", f"api.{DOMAIN}", DOMAIN, "127.0.0.1", HOST]
    raw = b"".join(f"GET /{n} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() for n, host in enumerate(hosts))
    last = b"GET /last HTTP/1.1\r\nHost: tenant.portway.localhost\r\nConnection: close\r\n\r\n"
    answer = await say(on.known.http_port, raw + last)
    # The API is there, and asks for a key.
    assert statuses(answer) == [200, 200, 404, 401, 404, 404, 200, 200]
    assert re.findall(rb"\r\n\r\n(victim|unharmed)", answer) == [
        b"victim",
        b"unharmed",
        b"victim",
        b"unharmed",
    ]
    assert re.findall(rb"GET (\S+)", harmed.got) == [b"/0", b"/6"]


async def test_another_name_than_that_of_the_handshake(on: Stage, harmed: Victim) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\nConnection: close\r\n\r\n"
    port, context = on.known.https_port, tls(on)
    assert statuses(await say(port, raw, tls=context)) == [200]
    before = bytes(harmed.got)
    assert statuses(await say(port, raw, tls=context, name=f"tenant.{DOMAIN}")) == [421]
    assert bytes(harmed.got) == before


# -- answers of upstreams ------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 33 + OK,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 501 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * MIB + b"\r\n\r\n",
    ],
)  # fmt: skip
async def test_an_upstream_that_answers_ambiguously(on: Stage, harmed: Victim, answer: bytes) -> None:
    harmed.answer = answer
    raw = b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n"
    after = b"GET / HTTP/1.1\r\nHost: tenant.portway.localhost\r\nConnection: close\r\n\r\n"
    async with unharmed(on):
        back = await say(on.known.http_port, raw + after)
    assert [each for each in statuses(back) if each >= 200] == [502, 200]
    assert back.endswith(b"unharmed")


@pytest.mark.parametrize(
    ("method", "answer", "passes"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n", b""),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n", b""),
        (b"GET", OK, b"ok"),
    ],
)
async def test_bytes_behind_an_answer_reach_nobody(
    on: Stage, harmed: Victim, method: bytes, answer: bytes, passes: bytes
) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Forged: 1\r\n\r\nforged"
    harmed.answer = answer + forged
    raw = method + b" / HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n"
    after = b"GET / HTTP/1.1\r\nHost: tenant.portway.localhost\r\nConnection: close\r\n\r\n"
    back = await say(on.known.http_port, raw + after)
    assert b"forged" not in back
    assert len(statuses(back)) == 2
    assert back.split(b"HTTP/1.1 ")[1].partition(b"\r\n\r\n")[2] == passes
    assert back.endswith(b"unharmed")


# -- slow, many, broken off ----------------------------------------------------------------------


async def test_visitors_that_read_nothing_from_a_fast_upstream(on: Stage, harmed: Victim) -> None:
    harmed.endless = True
    raw = b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n"
    async with unharmed(on, growth=32 * MIB), AsyncExitStack() as open_:
        for secure in (None, tls(on)) * 8:
            port = on.known.https_port if secure else on.known.http_port
            _, writer = await open_.enter_async_context(visitor(port, tls=secure, name=HOST))
            writer.write(raw)
        for _ in range(30):
            await on.visit()  # time for the upstream to fill whatever holds
        open_.callback(setattr, harmed, "endless", False)


@pytest.mark.parametrize("many", [PIPELINED // 5, pytest.param(PIPELINED, marks=pytest.mark.long)])
async def test_a_flood_of_pipelined_requests_hides_nothing(on: Stage, many: int) -> None:
    """One visitor's burst may not push lines about others out of the log."""
    log = len(on.service.log)
    raw = b"GET /flood HTTP/1.1\r\nHost: nobody.portway.localhost\r\n"
    async with unharmed(on):
        answer = await say(on.known.http_port, (raw + b"\r\n") * many + raw + b"Connection: close\r\n\r\n")
    assert len(statuses(answer)) == many + 1
    told = [each for each in on.records(log) if each.get("target") == "/flood"]
    assert len(told) == many + 1


@pytest.mark.parametrize("many", [MANY // 5, pytest.param(MANY, marks=pytest.mark.long)])
def test_very_many_connections_that_say_nothing(on: Stage, many: int) -> None:
    low, high = resource.getrlimit(resource.RLIMIT_NOFILE)
    if low < many + 500:
        if high < many + 500:
            pytest.skip(f"needs {many + 500} file descriptors (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (many + 500, high))
    before = on.service.rss()
    with ExitStack() as open_:
        for count in range(many):
            place = ("127.0.0.1", on.known.http_port)
            held = open_.enter_context(socket.create_connection(place, timeout=20))
            if count % 2 == 0:
                held.sendall(b"GET / HTTP/1.1\r\nHost: ")
        asyncio.run(on.visit())
        assert psutil.Process(on.service.pid).num_fds() > many
        grown = on.service.rss() - before
    print(f"{many} connections: {grown / MIB:.1f} MiB")
    assert grown < 12 * many * KIB + 8 * MIB
    eventually(lambda: len(psutil.Process(on.service.pid).net_connections()) < 100, "they are forgotten")
    asyncio.run(on.visit())


@pytest.mark.parametrize("way", ["upload", "download"])
@pytest.mark.parametrize("many", [TIMES // 5, pytest.param(TIMES, marks=pytest.mark.long)])
async def test_transfers_broken_off(on: Stage, harmed: Victim, way: str, many: int) -> None:
    harmed.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000)
    if way == "upload":
        harmed.answer = b""
    head = b"GET / HTTP/1.1\r\n" if way == "download" else b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n"
    raw = head + b"Host: victim.portway.localhost\r\n\r\n" + bytes(1000 if way == "upload" else 0)

    async def break_off(count: int) -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", on.known.http_port)
            writer.write(raw)
            if way == "download":
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            else:
                await writer.drain()
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    await break_off(many // 10)  # everything has been done once
    async with unharmed(on, growth=8 * MIB):
        await asyncio.gather(*(break_off(many // 10) for _ in range(10)))
    process = psutil.Process(on.service.pid)
    eventually(lambda: len(process.net_connections()) < 60, "no connection is left", timeout=35)


async def test_a_service_without_descriptors_recovers(on: Stage, harmed: Victim) -> None:
    process = psutil.Process(on.service.pid)
    usual = process.rlimit(psutil.RLIMIT_NOFILE)
    log = len(on.service.log)
    raw = b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n"
    async with (
        on.agent(on.known.authtoken) as agent,
        visitor(on.known.http_port) as (reader, writer),
        AsyncExitStack() as open_,
    ):
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 20, usual[1]))
        open_.callback(process.rlimit, psutil.RLIMIT_NOFILE, usual)
        crowd = [await open_.enter_async_context(visitor(on.known.http_port)) for _ in range(100)]
        await eventually_async(lambda: _full(on, log), "it says that it is full")
        for _ in range(20):  # who is inside is served
            writer.write(raw)
            assert await asyncio.wait_for(reader.readuntil(b"victim"), 10)
        assert code(await agent.bind("tcp")) == "503"
        for _, each in crowd:
            each.close()
        await eventually_async(lambda: _visited(on), "new visitors are served")
    said = [each for each in on.records(log) if each["level"] in {"error", "warning"}]
    assert "cannot be opened" in said.pop()["event"]
    assert len(said) == 1, said
    assert "--listen-http: cannot accept" in said[0]["event"]
    assert "ulimit -n" in said[0]["event"]
    await on.visit()


async def _full(on: Stage, log: int) -> bool:
    return "cannot accept" in on.service.log[log:]


async def _visited(on: Stage) -> bool:
    await on.visit()
    return True


# -- TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: victim.portway.localhost\r\n\r\n",
        bytes(100),
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        b"\x15\x03\x01\x00\x02\x02\x00",
        b"\x80\x2e\x01\x00\x02" + bytes(60),
    ],
    ids=["http", "zeros", "huge hello", "huge record", "alert", "SSLv2"],
)
async def test_garbage_instead_of_a_hello(on: Stage, said: bytes) -> None:
    async with unharmed(on):
        for port in (on.known.https_port, int(on.known.connect_url.rpartition(":")[2])):
            back = await say(port, said)
            assert len(back) <= 7
            assert back[:1] == b"\x15" or port != on.known.https_port


@pytest.mark.parametrize("name", [None, "nobody.example", f"a.b.{DOMAIN}", f"{'a' * 63}.example"])
async def test_names_that_nobody_has_claimed(on: Stage, name: str | None) -> None:
    context = tls(on)
    context.check_hostname = False
    async with unharmed(on):
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await asyncio.wait_for(
                asyncio.open_connection(
                    "127.0.0.1", on.known.https_port, ssl=context, server_hostname=name or ""
                ),
                10,
            )


async def test_a_hello_that_drips_has_three_seconds(on: Stage) -> None:
    loop = asyncio.get_running_loop()
    async with unharmed(on):
        async with visitor(on.known.https_port) as (reader, writer):
            began = loop.time()
            writer.write(b"\x16\x03\x01\x02\x00\x01")
            while True:
                with suppress(TimeoutError):
                    try:
                        back = await asyncio.wait_for(reader.read(), 0.2)
                    except ConnectionError:
                        back = b""
                    break
                with suppress(ConnectionError):
                    writer.write(b"\0")
            took = loop.time() - began
        assert back == b""
        assert 2.5 < took < 5


async def test_the_page_of_an_error_shows_no_markup_of_a_visitors(on: Stage) -> None:
    answer = await get(f"http://%3Cscript%3E.{DOMAIN}/", on.known.http_port, accept="text/html")
    assert answer.status in {400, 404}
    assert b"<script" not in answer.body
    assert urlsplit(on.url).hostname == f"tenant.{DOMAIN}"
