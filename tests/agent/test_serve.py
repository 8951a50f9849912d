"""One line serves an application."""

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.visits import Visit

import portway
from portway import ConfigError, EndpointListener, Error
from portway.agent.serve import kind_of
from portway.net.tasks import Tasks


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())


class AsgiObject:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []


async def bound(extra: Any, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        (asgi, "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiObject().__call__, "asgi"),
        (functools.partial(bound, 1), "asgi"),
        (wsgi, "wsgi"),
        (WsgiObject(), "wsgi"),
        (streams, "streams"),
    ],
)
def test_what_an_application_is(app: Any, kind: str) -> None:
    assert kind_of(app, "auto") == kind


@pytest.mark.parametrize("app", [lambda: None, AsgiObject, print, 5, "app:app"])
def test_what_cannot_be_seen(app: Any) -> None:
    with pytest.raises(ConfigError):
        kind_of(app, "auto")


def test_it_may_be_said() -> None:
    assert kind_of(print, "wsgi") == "wsgi"
    wrong: Any = "cgi"
    with pytest.raises(ConfigError, match="interface"):
        kind_of(print, wrong)


@pytest.mark.row("G-003")
async def test_a_callback_of_streams(service: FakeService) -> None:
    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen("tcp://")
        serving = tasks.start(listener.serve(streams), name="serve")
        async with Visit(service, listener) as visit:
            visit.writer.write(b"shout")
            visit.writer.write_eof()
            assert await visit.reader.read() == b"SHOUT"
        await listener.close()
        await serving


@pytest.mark.row("G-003")
async def test_a_plain_accept_loop(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        async with Visit(service, listener) as visit:
            visit.writer.write(b"one")
            async for connection in listener:
                async with connection:
                    assert await connection.reader.readexactly(3) == b"one"
                await listener.close()


async def test_http_needs_an_http_endpoint(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen("tcp://")
        for app in (asgi, wsgi):
            with pytest.raises(ConfigError, match="http or https"):
                await listener.serve(app)


async def test_an_application_that_fails_costs_its_connection(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"!":
            raise RuntimeError("of the application")
        writer.write(b"fine")

    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen("tcp://")
        tasks.start(listener.serve(fail), name="serve")
        async with Visit(service, listener) as visit:
            visit.writer.write(b"!")
            with pytest.raises(ConnectionError):
                await visit.reader.read()
        async with Visit(service, listener) as visit:
            visit.writer.write(b"?")
            assert await visit.reader.read() == b"fine"
        await listener.close()
    assert "of the application" in caplog.text


@pytest.mark.row("G-086")
async def test_an_endpoint_that_the_service_ends(service: FakeService) -> None:
    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen("tcp://")
        serving = tasks.start(_caught(listener), name="serve")
        service.last.stop_tunnel(listener.id, "enough", "ERR_NGROK_1")
        assert (await serving).code == "ERR_NGROK_1"


async def _caught(listener: EndpointListener) -> Error:
    with pytest.raises(Error) as caught:
        await listener.serve(streams)
    return caught.value


async def test_cancelled_it_stops_accepting_and_the_endpoint_stays(service: FakeService) -> None:
    began = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began.set()
        await reader.read()

    async with agent_of(service) as agent, Tasks() as tasks:
        listener = await agent.listen("tcp://")
        serving = tasks.start(listener.serve(hold, grace=0.01), name="serve")
        async with Visit(service, listener) as visit:
            await began.wait()
            serving.cancel()
            with pytest.raises(ConnectionError):
                await visit.reader.read()
            with pytest.raises(asyncio.CancelledError):
                await serving
        assert not listener.done()


async def test_not_inside_a_loop() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        portway.serve(wsgi)


SCRIPT = """
import portway
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
portway.serve(app)
print("over")
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_a_script_of_one_line(service: FakeService, tmp_path: Path, end: signal.Signals) -> None:
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    known = {
        "PORTWAY_CONNECT_URL": service.connect_url,
        "PORTWAY_CONNECT_CAS": str(tmp_path / "ca.pem"),
        "PORTWAY_AUTHTOKEN": "good",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", SCRIPT, stdout=subprocess.PIPE, env=os.environ | known
    )
    assert process.stdout is not None
    url = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    assert url.startswith("https://random")
    await service.until(lambda: bool(service.arrived and service.last.binds))
    recorded = _Endpoint("ep_1")
    async with Visit(service, recorded) as visit:  # pyright: ignore[reportArgumentType]
        assert (await visit.ask("GET / HTTP/1.1")).body == b"hello"
    process.send_signal(end)
    assert (await asyncio.wait_for(process.stdout.read(), 30)) == b"over\n"
    assert await process.wait() == 0
    await service.until(lambda: service.last.closed)


class _Endpoint:
    """What a visit needs to know of an endpoint in another process."""

    protocol = "https"

    def __init__(self, bind_id: str) -> None:
        self.id = bind_id


def test_a_script_tells_by_its_own_function(certs: Any) -> None:
    """The endpoint is given to ``ready``, which may end it."""
    told: list[str] = []
    loop_ready = threading.Event()

    def run() -> None:
        asyncio.run(main())

    async def main() -> None:
        service = FakeService(certs)
        await service.start()
        port.append(service.connect_url)
        loop_ready.set()
        await asyncio.to_thread(done.wait, 30)
        await service.close()

    port: list[str] = []
    closing: list[asyncio.Future[None]] = []
    done = threading.Event()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert loop_ready.wait(20)

    def ready(listener: EndpointListener) -> None:
        told.append(listener.url)
        closing.append(asyncio.ensure_future(listener.close()))

    agent = portway.Agent(connect_url=port[0], connect_cas=certs.ca, authtoken="good")
    portway.serve(wsgi, "https://mine.example", agent=agent, ready=ready, name="n")
    done.set()
    thread.join(40)
    assert told == ["https://mine.example"]
    assert not agent.connected
