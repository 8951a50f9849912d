"""HTTP/1.1 for applications in this process."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.visits import Visit

from portway import EndpointListener
from portway.agent.http_server import DISCARD, MAX_HEAD, Exchange, Gone, Handler, HttpConnection
from portway.net.tasks import Tasks

LOG = logging.getLogger("test")


@asynccontextmanager
async def served(service: FakeService, handler: Handler) -> AsyncGenerator[EndpointListener]:
    """Serve a listener with a handler."""

    async def accept() -> None:
        async for connection in listener:
            http = HttpConnection(handler, LOG)
            connection.use(http)
            tasks.start(http.run(), name="http")

    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen()
        tasks.start(accept(), name="accept")
        yield listener


async def tell(exchange: Exchange) -> None:
    """Answer with what was asked."""
    body = b""
    while piece := await exchange.read():
        body += piece
    await exchange.start(200, [(b"Content-Type", b"text/plain")])
    await exchange.write(f"{exchange} ".encode(), more=True)
    await exchange.write(body, more=False)


async def test_requests_one_after_another(service: FakeService) -> None:
    async with served(service, tell) as listener, Visit(service, listener) as visit:
        first = await visit.ask("GET /a?b HTTP/1.1")
        assert (first.status, first.body) == (200, b"GET /a?b ")
        assert first.headers["content-type"] == "text/plain"
        assert first.headers["transfer-encoding"] == "chunked"
        assert first.headers["date"].endswith("GMT")
        second = await visit.ask("POST /b HTTP/1.1\nContent-Length: 3", b"abc")
        assert second.body == b"POST /b abc"
        third = await visit.ask(
            "POST /c HTTP/1.1\nTransfer-Encoding: chunked", b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )
        assert third.body == b"POST /c abc"


async def test_pipelined_requests(service: FakeService) -> None:
    async with served(service, tell) as listener, Visit(service, listener) as visit:
        one = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
        visit.writer.write(b"".join(one % n for n in range(5)))
        assert [(await visit.answer()).body for _ in range(5)] == [b"POST /%d ab" % n for n in range(5)]


@pytest.mark.parametrize("request_line", ["GET / HTTP/1.0", "GET / HTTP/1.1\nConnection: close"])
async def test_a_connection_that_is_for_one_request(service: FakeService, request_line: str) -> None:
    async with served(service, tell) as listener, Visit(service, listener) as visit:
        answer = await visit.ask(request_line)
        assert answer.body == b"GET / "
        assert answer.headers["connection"] == "close"
        assert await visit.ended()


async def test_an_answer_of_a_known_length(service: FakeService) -> None:
    async def known(exchange: Exchange) -> None:
        await exchange.start(404, [(b"content-length", b"4"), (b"connection", b"close")])
        await exchange.write(b"none", more=False)

    async with served(service, known) as listener, Visit(service, listener) as visit:
        answer = await visit.ask("GET / HTTP/1.1")
        assert (answer.status, answer.body, answer.headers["connection"]) == (404, b"none", "close")
        assert "transfer-encoding" not in answer.headers
        assert await visit.ended()


async def test_answers_without_a_body(service: FakeService) -> None:
    async def bare(exchange: Exchange) -> None:
        await exchange.start(204 if exchange.head.target == b"/none" else 200, [])
        await exchange.write(b"dropped", more=False)

    async with served(service, bare) as listener, Visit(service, listener) as visit:
        assert (await visit.ask("GET /none HTTP/1.1")).status == 204
        head = await visit.ask("HEAD / HTTP/1.1", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert (await visit.ask("GET / HTTP/1.1")).body == b"dropped"


async def test_a_body_is_asked_for_when_it_is_read(service: FakeService) -> None:
    async with served(service, tell) as listener, Visit(service, listener) as visit:
        visit.writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await visit.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        visit.writer.write(b"ok")
        assert (await visit.answer()).body == b"PUT / ok"


async def test_a_body_that_nobody_wants(service: FakeService) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.start(200, [(b"content-length", b"0")])
        await exchange.write(b"", more=False)

    async with served(service, refuse) as listener:
        async with Visit(service, listener) as visit:
            assert (await visit.ask("PUT / HTTP/1.1\nContent-Length: 3", b"abc")).status == 200
            chunks = b"5\r\nabcde\r\n0\r\n\r\n"
            assert (await visit.ask("PUT / HTTP/1.1\nTransfer-Encoding: chunked", chunks)).status == 200
            assert (await visit.ask(f"PUT / HTTP/1.1\nContent-Length: {DISCARD + 1}", b"abc")).status == 200
            assert await visit.ended()
        async with Visit(service, listener) as visit:
            asked = "PUT / HTTP/1.1\nContent-Length: 3\nExpect: 100-continue"
            assert (await visit.ask(asked)).status == 200
            assert await visit.ended()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
    ],
)
async def test_what_is_no_request(service: FakeService, sent: bytes, status: int) -> None:
    async with served(service, tell) as listener, Visit(service, listener) as visit:
        visit.writer.write(sent)
        answer = await visit.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await visit.ended()


async def test_a_handler_that_fails(service: FakeService, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(exchange: Exchange) -> None:
        if exchange.head.target == b"/late":
            await exchange.start(200, [])
            await exchange.write(b"half", more=True)
        if exchange.head.target == b"/short":
            await exchange.start(200, [(b"content-length", b"9")])
            await exchange.write(b"four", more=False)
        if exchange.head.target == b"/bad":
            await exchange.start(200, [(b"x", b"a\r\nset-cookie: b")])
        if exchange.head.target == b"/cancelled":
            raise asyncio.CancelledError  # of something it awaited
        if exchange.head.target == b"/exit":
            raise SystemExit
        if exchange.head.target != b"/silent":
            raise RuntimeError("of the application")

    async with served(service, fail) as listener:
        for path in ("/", "/silent", "/bad", "/cancelled", "/exit"):
            async with Visit(service, listener) as visit:
                answer = await visit.ask(f"GET {path} HTTP/1.1")
                assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
                assert await visit.ended()
        for path in ("/late", "/short"):
            async with Visit(service, listener) as visit:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await visit.ask(f"GET {path} HTTP/1.1")
    assert "of the application" in caplog.text
    assert "has not answered GET /silent" in caplog.text
    assert "failed on GET /cancelled" in caplog.text


async def test_a_handler_hears_that_its_visitor_has_left(service: FakeService) -> None:
    began, heard = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        began.set()
        await exchange.gone()
        heard.set()
        raise Gone

    async with served(service, wait) as listener, Visit(service, listener) as visit:
        visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await began.wait()
        await visit.close()
        await asyncio.wait_for(heard.wait(), 20)


async def test_a_slow_visitor_holds_up_its_handler(service: FakeService) -> None:
    written: list[int] = []
    stuck = asyncio.Event()

    async def pour(exchange: Exchange) -> None:
        await exchange.start(200, [])
        for n in range(400):
            asyncio.get_running_loop().call_soon(stuck.set)
            await exchange.write(bytes(65_536), more=True)
            written.append(n)
        await exchange.write(b"", more=False)

    async with served(service, pour) as listener, Visit(service, listener) as visit:
        visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await stuck.wait()
        last = -1
        while last != len(written):  # until it stands still
            last = len(written)
            for _ in range(200):
                await asyncio.sleep(0)
        assert 0 < last < 300
        assert len((await visit.answer()).body) == 400 * 65_536


async def test_an_idle_connection_is_ended_when_serving_ends(service: FakeService) -> None:
    served_by: list[HttpConnection] = []

    async def remember(exchange: Exchange) -> None:
        served_by.append(exchange.connection)
        await tell(exchange)

    async with served(service, remember) as listener, Visit(service, listener) as visit:
        assert (await visit.ask("GET / HTTP/1.1")).status == 200
        served_by[0].stop()
        assert await visit.ended()
