"""Trying to break the life of sessions: kills, freezes, cuts and black holes, at both ends.

What the tests promise an agent's owner: a dead peer is noticed within heartbeat interval + tolerance;
the agent is back within RETURN seconds of the service being there again, under the same URLs, which
nobody else got meanwhile; a visitor in flight is reset and never takes a part for the whole; nothing
is left over. `test_soak.py` does the same for longer.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tests.kit.driven import INTERVAL, TOLERANCE, DrivenAgent, driven_agent
from tests.kit.eventually import eventually, eventually_async
from tests.kit.fault_proxy import fault_proxy
from tests.kit.product import Service, running_service
from tests.kit.rest import Rest
from tests.kit.traffic import CHUNK, get, hello_http, server, visitor

pytestmark = pytest.mark.xdist_group("chaos")

RETURN = 2.5
"""Seconds within which an agent is back: the longest wait of the first minute, 2 s, and the way."""

NOTICE = INTERVAL + TOLERANCE
"""Seconds within which a dead peer is noticed."""

SLACK = 4.0
"""Seconds that a busy machine may add to a time that is measured across processes.

What is told apart by it, TCP's own notice of a dead peer, takes 25 s and more."""

MIB = 1 << 20

GROWTH = 4 * MIB
"""Bytes by which the least memory of the last third of many rounds may exceed that of the third before.

What is in use goes up and down by some MiB, as windows are full or not when a session is cut; a leak
would raise the floor."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for the tests that do not restart it."""
    with running_service(tmp_path_factory.mktemp("chaos")) as service:
        yield service


@contextlib.contextmanager
def own_service(folder: Path, *flags: str) -> Generator[Service]:
    """One service for one test, which may have ended it."""
    service = Service(folder, *flags)
    try:
        service.start()
        yield service
    finally:
        service.kill()


@contextlib.asynccontextmanager
async def downloading(url: str) -> AsyncGenerator[asyncio.StreamReader]:
    """Be a visitor in the middle of an endless download from `pouring`."""
    async with visitor(port_of(url)) as (reader, writer):
        writer.write(b"d")
        await asyncio.wait_for(reader.readexactly(MIB), 20)
        yield reader


async def pouring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the first byte "d" with bytes without end, anything else with an echo of one byte."""
    if await reader.read(1) != b"d":
        writer.write(b"e")
        await writer.drain()
        return
    while True:
        writer.write(bytes(CHUNK))
        await writer.drain()


async def outcome(reader: asyncio.StreamReader) -> str:
    """Read to the end, and say how the connection ended: "reset" or "end"."""
    try:
        while await asyncio.wait_for(reader.read(CHUNK), 20):
            pass
    except ConnectionResetError:
        return "reset"
    return "end"


async def is_served(url: str) -> bool:
    """Say whether a TCP endpoint of `pouring` answers."""
    try:
        async with visitor(port_of(url)) as (reader, writer):
            writer.write(b"e")
            return await asyncio.wait_for(reader.read(1), 2) == b"e"
    except (OSError, TimeoutError):
        return False


async def back_after(url: str, since: float, within: float = RETURN + SLACK) -> float:
    """Wait until an endpoint answers again; return the seconds since a moment."""
    await eventually_async(lambda: is_served(url), f"{url} answers again", timeout=30)
    took = time.monotonic() - since
    assert took < within, f"back after {took:.2f} s"
    return took


def port_of(url: str) -> int:
    """Return the port of a URL."""
    port = urlsplit(url).port
    assert port
    return port


# -- the network fails


@pytest.mark.row("A3", "A9", "A10", "S14", "S21", "S30", "G-073")
@pytest.mark.parametrize("fault", ["swallow", "stall"])
async def test_a_silent_network_is_noticed_at_both_ends(service: Service, fault: str) -> None:
    async with (
        server(pouring) as upstream,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(upstream), "tcp://", port=proxy.port) as (agent, url),
        downloading(url) as reader,
    ):
        proxy.mode = "swallow" if fault == "swallow" else "stall"
        proxy.refuse()
        since = time.monotonic()
        how = await outcome(reader)
        service_noticed = time.monotonic() - since
        await asyncio.to_thread(eventually, lambda: agent.told("lost"), "the agent notices")
        agent_noticed = agent.told("lost")[0] - since
        assert not await is_served(url)
        proxy.cut()
        proxy.mode = "pass"
        await proxy.open()
        took = await back_after(url, time.monotonic())
    print(
        f"{fault}: noticed by service {service_noticed:.2f} s, agent {agent_noticed:.2f} s; back {took:.2f} s"
    )
    assert how == "reset"
    assert max(service_noticed, agent_noticed) < NOTICE + SLACK


@pytest.mark.row("A9", "A10", "S21", "G-047", "G-153")
@pytest.mark.parametrize("outage", [0.2, 3.0])
async def test_an_outage_of_the_network(service: Service, outage: float) -> None:
    async with (
        server(pouring) as upstream,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(upstream), "tcp://", port=proxy.port) as (_, url),
        downloading(url) as reader,
    ):
        proxy.refuse()
        proxy.cut()
        over = time.monotonic() + outage
        assert await outcome(reader) == "reset"
        await asyncio.to_thread(eventually, lambda: time.monotonic() >= over, "the outage is over")
        await proxy.open()
        took = await back_after(url, time.monotonic())
    print(f"outage {outage} s: back after {took:.2f} s")


@pytest.mark.row("S22", "S21")
async def test_a_half_open_session_is_replaced_by_the_same_agent(service: Service) -> None:
    """The service hears nothing of the cut; long heartbeats would let it wait for 25 s."""
    async with (
        server(pouring) as upstream,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(upstream), "tcp://", port=proxy.port, interval=10, tolerance=15) as (
            _,
            url,
        ),
        downloading(url) as reader,
    ):
        proxy.cut_near()
        since = time.monotonic()
        how = await outcome(reader)
        took = await back_after(url, since)
    print(f"replaced after {took:.2f} s")
    assert how == "reset"


# -- a process fails


@pytest.mark.row("S14", "S30", "S21", "A9")
async def test_a_frozen_agent_is_dropped_and_comes_back(service: Service) -> None:
    async with (
        server(pouring) as upstream,
        driven_agent(service, str(upstream), "tcp://") as (agent, url),
        downloading(url) as reader,
    ):
        agent.signal(signal.SIGSTOP)
        since = time.monotonic()
        how = await outcome(reader)
        noticed = time.monotonic() - since
        assert not await is_served(url)
        agent.signal(signal.SIGCONT)
        took = await back_after(url, time.monotonic())
    print(f"frozen agent: noticed after {noticed:.2f} s, back after {took:.2f} s")
    assert how == "reset"
    assert noticed < NOTICE + SLACK


@pytest.mark.row("S30")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_an_agent_that_ends_resets_both_sides(service: Service, number: signal.Signals) -> None:
    """Neither the visitor nor the upstream may take what it has for the whole."""
    at_upstream = asyncio.get_running_loop().create_future()

    async def upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"d":
            writer.write(b"started")
            at_upstream.set_result(await outcome(reader))

    async with (
        server(upload) as upstream,
        driven_agent(service, str(upstream), "tcp://") as (agent, url),
        visitor(port_of(url)) as (reader, writer),
    ):
        writer.write(b"dpart of an upload")
        assert await asyncio.wait_for(reader.readexactly(7), 10) == b"started"
        agent.signal(number)
        assert await outcome(reader) == "reset"
        assert await asyncio.wait_for(at_upstream, 10) == "reset"
        await asyncio.to_thread(eventually, lambda: agent.exited() is not None, "the agent ends")


async def test_http_answers_without_a_length_are_reset_by_a_killed_service(tmp_path: Path) -> None:
    """Nothing but the end of the connection tells their end, so that must not come in order."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\nUpgrade: echo" in head:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\npart"
            )
        elif b"GET /chunked" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart")
        await reader.read(-1)

    requests = (
        b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n",
        b"GET /chunked HTTP/1.0\r\nHost: %b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
    )
    with own_service(tmp_path) as service:
        async with (
            server(endless) as upstream,
            driven_agent(service, str(upstream), "http://") as (_, url),
            contextlib.AsyncExitStack() as open_,
        ):
            readers: list[asyncio.StreamReader] = []
            for request in requests:
                reader, writer = await open_.enter_async_context(visitor(port_of(url)))
                writer.write(request % urlsplit(url).netloc.encode())
                assert (await asyncio.wait_for(reader.readuntil(b"part"), 10)).startswith(b"HTTP/1.1 ")
                readers.append(reader)
            await asyncio.to_thread(service.kill)
            assert [await outcome(reader) for reader in readers] == ["reset"] * 3


@pytest.mark.row("A9", "S21", "S22", "S31")
async def test_a_frozen_service_is_noticed_and_resumed(tmp_path: Path) -> None:
    with own_service(tmp_path) as service:
        async with (
            server(pouring) as upstream,
            driven_agent(service, str(upstream), "tcp://") as (agent, url),
            downloading(url) as reader,
        ):
            os.kill(service.pid, signal.SIGSTOP)
            since = time.monotonic()
            await asyncio.to_thread(eventually, lambda: agent.told("lost"), "the agent notices")
            noticed = agent.told("lost")[0] - since
            os.kill(service.pid, signal.SIGCONT)
            again = time.monotonic()
            assert await outcome(reader) == "reset"
            took = await back_after(url, again)
    print(f"frozen service: noticed after {noticed:.2f} s, back after {took:.2f} s")
    assert noticed < NOTICE + SLACK


@pytest.mark.row("S21", "S31", "A9", "A10", "G-047")
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_a_service_that_restarts_in_the_middle_of_transfers(tmp_path: Path, kill: bool) -> None:
    with own_service(tmp_path, "--drain-timeout", "100ms") as service:
        async with (
            server(pouring) as upstream,
            driven_agent(service, str(upstream), "tcp://") as (_, url),
            downloading(url) as reader,
        ):
            await asyncio.to_thread(service.kill if kill else service.stop)
            assert await outcome(reader) == "reset"
            started = time.monotonic()
            await asyncio.to_thread(service.start)
            ready = time.monotonic()
            await back_after(url, ready)
    print(f"restart: ready {ready - started:.2f} s, back {time.monotonic() - ready:.2f} s later")


@pytest.mark.row("S21", "S31", "A9")
async def test_a_hundred_endpoints_return_from_a_killed_service_under_load(tmp_path: Path) -> None:
    with own_service(tmp_path) as service:
        async with server(hello_http) as upstream:
            agent = DrivenAgent(service)
            try:
                urls = await asyncio.to_thread(lambda: agent.start(str(upstream), "http://", count=100))
                await asyncio.to_thread(service.kill)
                visitors = [asyncio.create_task(_keep_asking(urls[at])) for at in range(0, 100, 10)]
                await asyncio.to_thread(service.start)
                ready = time.monotonic()
                await asyncio.wait_for(asyncio.gather(*visitors), 30)
                answers = [(await get(url, port_of(url))).status for url in urls]
                took = time.monotonic() - ready
            finally:
                await asyncio.to_thread(agent.kill)
    print(f"all of {len(urls)} answered {took:.2f} s after the service was ready")
    assert len(set(urls)) == 100
    assert answers == [200] * 100
    assert took < RETURN + 2 * SLACK


async def _keep_asking(url: str) -> None:
    """Be a visitor who tries until there is an answer; what comes meanwhile is an error, said as such."""

    async def answered() -> bool:
        return (await get(url, port_of(url))).status == 200

    await eventually_async(answered, f"{url} answers", timeout=25)


# -- who may have a name


@pytest.mark.row("S21", "S30", "G-047")
async def test_nobody_takes_a_lost_agents_name(service: Service, tmp_path: Path) -> None:
    token = await asyncio.to_thread(_stranger, service)
    address = (await asyncio.to_thread(Rest(service).address))["addr"]
    async with (
        server(pouring) as upstream,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(upstream), f"tcp://{address}", port=proxy.port) as (agent, url),
    ):
        proxy.refuse()
        proxy.cut()
        await asyncio.to_thread(eventually, lambda: agent.told("lost"), "the agent is away")
        thief = DrivenAgent(service, token=token)
        with pytest.raises(RuntimeError, match="ERR_NGROK_309"):
            await asyncio.to_thread(lambda: thief.start(str(upstream), url))
        thief.stop()
        await proxy.open()
        await back_after(url, time.monotonic())


def _stranger(service: Service) -> str:
    """Make another account; return a token of it."""
    from click.testing import CliRunner

    from portway.cli.admin import admin

    def run(*command: str) -> str:
        result = CliRunner().invoke(admin, [*command, "--data-dir", str(service.data)])
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    run("account", "add", "stranger")
    return run("token", "add", "--account", "stranger")


@pytest.mark.row("S22")
async def test_two_agents_that_take_turns_on_one_name(service: Service) -> None:
    """The later one has it while it lives; the earlier one gets it back; never do both serve."""

    async def name(which: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(which)
        await writer.drain()

    async def who(url: str) -> bytes:
        try:
            async with visitor(port_of(url)) as (reader, _):
                return await asyncio.wait_for(reader.read(1), 2)
        except (OSError, TimeoutError):
            return b""

    async def served_by(which: bytes) -> None:
        async def so() -> bool:
            return await who(url) == which

        await eventually_async(so, f"{which!r} serves {url}", timeout=15)

    address = (await asyncio.to_thread(Rest(service).address))["addr"]
    async with (
        server(lambda _reader, writer: name(b"A", writer)) as first,
        server(lambda _reader, writer: name(b"B", writer)) as second,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(first), f"tcp://{address}", port=proxy.port) as (earlier, url),
    ):
        for turn in range(2):
            await served_by(b"A")
            proxy.refuse()
            proxy.cut()
            await asyncio.to_thread(
                eventually, lambda turn=turn: len(earlier.told("lost")) > turn, "the earlier one is away"
            )
            async with driven_agent(service, str(second), url) as (later, same):
                assert same == url
                await proxy.open()
                await asyncio.to_thread(
                    eventually,
                    lambda turn=turn: len(earlier.told("back")) > turn + 1,
                    "it is back",
                    timeout=10,
                )
                assert {await who(url) for _ in range(20)} == {b"B"}
                await asyncio.to_thread(later.stop)


# -- the controller fails


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_agents_connect_although_the_controller_fails(tmp_path: Path, number: signal.Signals) -> None:
    with own_service(tmp_path) as service:
        (controller,) = psutil.Process(service.pid).children()
        async with server(pouring) as upstream, driven_agent(service, str(upstream), "tcp://") as (_, old):
            controller.send_signal(number)
            since = time.monotonic()
            assert await is_served(old)
            async with driven_agent(service, str(upstream), "tcp://") as (_, url):
                took = time.monotonic() - since
                assert await is_served(url)
                assert await is_served(old)
    print(f"connected {took:.2f} s after {number.name} of the controller")


# -- orderly ends


@pytest.mark.row("S31", "T-029")
async def test_a_stop_waits_for_a_download_and_a_second_one_does_not(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def in_two_parts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        writer.write(b"first ")
        await go_on.wait()
        writer.write(b"second")

    with own_service(tmp_path) as service:
        async with (
            server(in_two_parts) as upstream,
            driven_agent(service, str(upstream), "tcp://") as (_, url),
        ):
            for cut in (False, True):
                go_on.clear()
                async with visitor(port_of(url)) as (reader, writer):
                    writer.write(b"e")
                    assert await asyncio.wait_for(reader.readexactly(7), 10) == b"efirst "
                    os.kill(service.pid, signal.SIGTERM)
                    await eventually_async(lambda: _refused(service), "the service accepts nobody")
                    since = time.monotonic()
                    if cut:
                        os.kill(service.pid, signal.SIGTERM)
                        assert await outcome(reader) == "reset"
                    else:
                        go_on.set()
                        assert await asyncio.wait_for(reader.read(-1), 10) == b"second"
                        writer.write_eof()
                    await asyncio.to_thread(
                        eventually, lambda: service.exited() is not None, "the service ends"
                    )
                    assert time.monotonic() - since < 9, "a drain lasts 10 s"
                if not cut:
                    await asyncio.to_thread(service.stop)
                    await asyncio.to_thread(service.start)
                    await back_after(url, time.monotonic())


async def _refused(service: Service) -> bool:
    try:
        async with visitor(service.bootstrap.http_port):
            return False
    except ConnectionRefusedError:
        return True


# -- nothing is left over


@pytest.mark.row("A9", "S30")
async def test_ten_rounds_leave_nothing_behind(service: Service) -> None:
    await rounds(service, 10)


async def rounds(service: Service, count: int) -> None:
    """Cut an agent ``count`` times in the middle of transfers; fail when something is left over."""
    sizes: list[tuple[int, ...]] = []
    process = psutil.Process(service.pid)
    async with (
        server(pouring) as upstream,
        fault_proxy(port_of(f"//{service.bootstrap.connect_url}")) as proxy,
        driven_agent(service, str(upstream), "tcp://", port=proxy.port) as (agent, url),
    ):
        tasks_before = await asyncio.to_thread(agent.tasks)
        for turn in range(count):
            async with downloading(url) as one, downloading(url) as another:
                if turn % 3 == 0:
                    proxy.cut()
                elif turn % 3 == 1:
                    proxy.cut_near()
                else:
                    proxy.mode = "swallow"
                assert {await outcome(one), await outcome(another)} == {"reset"}
                await asyncio.to_thread(
                    eventually, lambda turn=turn: len(agent.told("lost")) > turn, "the agent notices"
                )
                proxy.cut()
                proxy.mode = "pass"
                await back_after(url, time.monotonic())

            def settled() -> tuple[int, int]:
                return process.num_fds(), agent.descriptors()

            if sizes:
                await asyncio.to_thread(
                    eventually,
                    lambda: max(map(int.__sub__, settled(), sizes[0])) <= 0,
                    "descriptors are closed",
                )
            sizes.append((*settled(), service.rss(), agent.rss()))
        tasks = await asyncio.to_thread(agent.tasks)
    third = count // 3
    floors = [
        [min(column) for column in zip(*part, strict=True)] for part in (sizes[third:-third], sizes[-third:])
    ]
    growth = [late - early for late, early in zip(floors[1][2:], floors[0][2:], strict=True)]
    print(f"{count} rounds: descriptors {sizes[0][:2]} to {sizes[-1][:2]}, floors of memory {floors}")
    assert max(growth) < GROWTH
    assert tasks == tasks_before
