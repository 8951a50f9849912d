"""WSGI applications on a listener."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from wsgiref.validate import validator

import pytest
from tests.kit.fake_service import VISITOR, FakeService, agent_of
from tests.kit.visits import Visit

from portway import EndpointListener
from portway.net.tasks import Tasks

Start = Callable[..., Callable[[bytes], object]]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]


@asynccontextmanager
async def served(service: FakeService, app: App, **options: Any) -> AsyncGenerator[EndpointListener]:
    """Serve a listener with an application; end it in order."""
    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen("https://app.example:8443")
        serving = tasks.start(listener.serve(app, interface="wsgi", **options), name="serve")
        yield listener
        await listener.close()
        await serving


def hello(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    told = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['QUERY_STRING']} {body.decode()}"
    start("200 OK", [("Content-Type", "text/plain")])
    return [told.encode("latin-1")]


@pytest.mark.row("G-003", "G-102")
async def test_a_request_and_its_answer(service: FakeService) -> None:
    checked: App = validator(hello)  # pyright: ignore[reportAssignmentType] - the typeshed's types are narrower
    async with served(service, checked) as listener, Visit(service, listener) as visit:
        for _ in range(2):
            got = await visit.ask("POST /a%20b?c=d HTTP/1.1\nContent-Length: 4", b"body")
            assert (got.status, got.body) == (200, b"POST /a b c=d body")
            assert "transfer-encoding" not in got.headers or got.headers["transfer-encoding"] == "chunked"


async def test_the_environment(service: FakeService) -> None:
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        seen.append(environ)
        assert environ["wsgi.input"].read() == b"chunked"
        start("204 No Content", [])
        return []

    async with served(service, app) as listener, Visit(service, listener) as visit:
        asked = "POST /caf%C3%A9 HTTP/1.1\nX-Y: 1\nX-Y: 2\nX_Y: evil\nContent-Type: t"
        asked += "\nTransfer-Encoding: chunked"
        assert (await visit.ask(asked, b"7\r\nchunked\r\n0\r\n\r\n")).status == 204
    environ = seen[0]
    host, port = VISITOR.split(":")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("app.example", "8443")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (host, port)
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/café"
    assert (environ["HTTP_X_Y"], environ["CONTENT_TYPE"]) == ("1,2", "t")
    assert environ["HTTP_HOST"] == "public.example"
    assert (environ["wsgi.url_scheme"], environ["wsgi.multithread"]) == ("https", True)


async def test_pieces_are_sent_as_they_come_and_the_iterable_is_closed(service: FakeService) -> None:
    closed, go = threading.Event(), threading.Event()

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first "
            go.wait(20)
            yield b""
            yield b"second"

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        write = start("200 OK", [])
        write(b"zeroth ")
        return Pieces()

    async with served(service, app) as listener, Visit(service, listener) as visit:
        visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await visit.reader.readuntil(b"zeroth \r\n6\r\nfirst \r\n")
        assert b"200 OK" in head
        assert not closed.is_set()
        go.set()
        assert await visit.reader.readuntil(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"
        assert closed.wait(20)


@pytest.mark.parametrize("fault", ["raises", "is silent", "starts twice", "exits"])
async def test_an_application_that_fails(service: FakeService, fault: str) -> None:
    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if fault == "exits":
            raise SystemExit
        if fault == "raises":
            raise RuntimeError("of the application")
        if fault == "starts twice":
            start("200 OK", [])
            start("200 OK", [])
        return [b"x"]

    async with served(service, app) as listener, Visit(service, listener) as visit:
        assert (await visit.ask("GET / HTTP/1.1")).status == 500


async def test_another_answer_after_a_fault(service: FakeService) -> None:
    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        error = RuntimeError("found out late")
        start("503 Sorry", [("Content-Length", "5")], (RuntimeError, error, None))
        return [b"sorry"]

    async with served(service, app) as listener, Visit(service, listener) as visit:
        got = await visit.ask("GET / HTTP/1.1")
        assert (got.status, got.body) == (503, b"sorry")


async def test_requests_run_side_by_side(service: FakeService) -> None:
    together = threading.Barrier(3)

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        together.wait(20)
        start("200 OK", [])
        return [b"x"]

    async with served(service, app, threads=3) as listener:
        visits = [Visit(service, listener) for _ in range(3)]
        answers = await asyncio.gather(*(visit.ask("GET / HTTP/1.1") for visit in visits))
        assert [answer.status for answer in answers] == [200] * 3
        for visit in visits:
            await visit.close()


async def test_a_visitor_that_leaves_ends_the_answer(service: FakeService) -> None:
    closed, began = threading.Event(), threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield bytes(65_536)
                began.set()

        def close(self) -> None:
            closed.set()

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return Endless()

    async with served(service, app) as listener:
        visit = Visit(service, listener)
        visit.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await asyncio.to_thread(began.wait, 20)
        await visit.close()
        assert await asyncio.to_thread(closed.wait, 20)
