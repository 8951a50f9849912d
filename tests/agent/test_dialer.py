"""Connections made by the application, to the service and to upstreams."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.pipes import Recorder
from tests.kit.proxies import little_proxy
from tests.kit.upstreams import echo, upstream

from portway import ConnectError, Dialer, Upstream
from portway.agent.dialer import reach


class Plain:
    """A dialer that blocks; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.threads: set[str] = set()

    def dial(self, network: str, address: str) -> socket.socket:
        self.asked.append((network, address))
        self.threads.add(threading.current_thread().name)
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)))


class Async:
    """The same as a coroutine."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def dial(self, network: str, address: str) -> socket.socket:
        self.asked.append((network, address))
        host, _, port = address.rpartition(":")
        made = socket.socket()
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
        return made


class Failing:
    """Raises, or returns, what it is told to."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    async def dial(self, network: str, address: str) -> socket.socket:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome  # pyright: ignore[reportReturnType]


@pytest.mark.row("G-057", "G-075")
@pytest.mark.parametrize("make", [Plain, Async])
async def test_every_connection_to_the_service(service: FakeService, make: type[Plain | Async]) -> None:
    dialer = make()
    assert isinstance(dialer, Dialer)
    async with agent_of(service, dialer=dialer) as agent:
        await agent.connect()
        service.last.drop()
        await service.until(lambda: len(service.arrived) == 2)
        assert dialer.asked == [("tcp", service.connect_url)] * 2
    if isinstance(dialer, Plain):
        assert threading.current_thread().name not in dialer.threads


@pytest.mark.row("G-057", "G-063")
async def test_the_connection_to_the_proxy(service: FakeService) -> None:
    dialer = Async()
    async with little_proxy("http", {"127.0.0.1": service.port}) as proxy:
        async with agent_of(service, dialer=dialer, proxy_url=f"http://127.0.0.1:{proxy.port}") as agent:
            await agent.connect()
        assert dialer.asked == [("tcp", f"127.0.0.1:{proxy.port}")]


@pytest.mark.row("G-057", "G-131")
@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (OSError("no route"), "cannot connect to 127.0.0.1:9: no route"),
        (RuntimeError(), "cannot connect to 127.0.0.1:9: RuntimeError"),
        (None, "no stream socket"),
        (TimeoutError(), "no answer in time"),
        (asyncio.CancelledError(), "cannot connect to 127.0.0.1:9: CancelledError"),
    ],
)
async def test_a_dialer_that_fails(outcome: object, text: str) -> None:
    with pytest.raises(ConnectError, match=text) as caught:
        await reach("127.0.0.1", 9, asyncio.Protocol, dialer=Failing(outcome), timeout=5)
    assert caught.value.step == "tcp"


@pytest.mark.row("G-057")
async def test_an_agent_whose_dialer_fails(service: FakeService) -> None:
    with pytest.raises(ConnectError, match="no route"):
        await agent_of(service, dialer=Failing(OSError("no route"))).connect()


@pytest.mark.row("G-075")
async def test_a_coroutine_is_cancelled_with_its_caller() -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    class Stuck:
        async def dial(self, network: str, address: str) -> socket.socket:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

    waiting = asyncio.ensure_future(reach("x", 1, asyncio.Protocol, dialer=Stuck(), timeout=None))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled.is_set()


@pytest.mark.row("G-146", "G-075")
async def test_a_coroutine_has_its_deadline() -> None:
    class Stuck:
        async def dial(self, network: str, address: str) -> socket.socket:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(ConnectError, match="in time"):
        await reach("x", 1, asyncio.Protocol, dialer=Stuck(), timeout=0.01)


async def test_a_socket_that_comes_too_late_is_closed() -> None:
    go, begun = threading.Event(), threading.Event()
    here, there = socket.socketpair()
    there.settimeout(30)

    class Late:
        def dial(self, network: str, address: str) -> socket.socket:
            begun.set()
            go.wait(30)
            return here

    waiting = asyncio.ensure_future(reach("x", 1, asyncio.Protocol, dialer=Late(), timeout=None))
    assert await asyncio.to_thread(begun.wait, 30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    with there:
        assert await asyncio.to_thread(there.recv, 1) == b""
    assert here.fileno() == -1


@pytest.mark.row("G-131")
async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    ended = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.release()

    server = await asyncio.start_unix_server(serve, path)

    class ToUnix:
        async def dial(self, network: str, address: str) -> socket.socket:
            assert (network, address) == ("unix", path)
            made = socket.socket(socket.AF_UNIX)
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, address)
            return made

    async with server:
        for dialer in (None, ToUnix()):
            transport, _ = await reach("", 0, asyncio.Protocol, path=path, dialer=dialer, timeout=5)
            transport.close()
            await ended.acquire()


@pytest.mark.row("G-131")
async def test_every_connection_to_an_upstream(service: FakeService) -> None:
    dialer = Plain()
    async with upstream(echo) as server, agent_of(service) as agent:
        to = Upstream(f"127.0.0.1:{server.port}", dialer=dialer)
        forwarder = await agent.forward(to, url="tcp://")
        for text in (b"one", b"two"):
            assert await exchanged(service, forwarder.id, text) == text
    assert dialer.asked == [("tcp", f"127.0.0.1:{server.port}")] * 2


async def exchanged(service: FakeService, bind_id: str, text: bytes) -> bytes:
    recorder = Recorder(service.bell)
    recorder.pipe = stream = service.last.visit(bind_id, recorder, text)
    await service.until(lambda: len(recorder.data) >= len(text))
    stream.end()
    await service.until(lambda: recorder.ends == 1)
    return bytes(recorder.data)
