"""Very many visitors that hold their connection and say nothing: what each costs the service.

Whoever idles has been served before: a request was answered and the connection is kept, or a stream stands
and a first word has passed. The short form runs in `make test`; the long one has ten thousand of each kind
and prints what docs/limits.md says. Visitors that connect and wait, before any word, are beside it.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.kit.agent import Agent, Taken, connected_agent
from tests.kit.eventually import eventually_async
from tests.kit.product import Service, running_service
from tests.kit.tls_hello import client_hello

from portway.net.leg import LINGER_0

pytestmark = pytest.mark.xdist_group("idle-visitors")

KIB = 1024
FEW, MANY = 200, 10_000
LEGS = 3
"""Agents in each pool: one session of ours bears 4096 streams."""

MOST = {"http": 8, "https": 36, "tcp": 6, "tls": 10, "tls ended": 36, "waiting": 6}
"""KiB that a visitor of a kind may cost at most: half as much again as was measured."""

THREADS = 4
ANSWER, GREETING = b"HTTP/1.1 204 No Content\r\n\r\n", b"hello"


@contextmanager
def descriptors(count: int) -> Generator[None]:
    """Allow this process so many open files, and the services it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count:
        pytest.skip(f"needs {count} file descriptors (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Place:
    """One endpoint of each kind, served by agents in this process, and visitors for it."""

    def __init__(self, service: Service, agents: list[Agent]) -> None:
        """Take the service and connected agents."""
        self.service = service
        self._known = service.bootstrap
        self._agents = agents
        self._tls = ssl.create_default_context(cafile=self._known.ca_cert)
        self._ports: dict[str, int] = {}
        self.files = open_files(service)
        """Open in the service without any visitor."""

    async def open(self, kind: str) -> None:
        """Bring the endpoint of a kind online, in the pool of all agents."""
        proto = kind.partition(" ")[0]
        url = "tcp://" if proto == "tcp" else f"{proto}://{self.host(kind)}"
        opts: dict[str, Any] = {"URL": url}
        if kind == "tls ended":
            opts["TLSTermination"] = {}
        for agent in self._agents:
            answer = await agent.bind(proto, opts, PoolingEnabled=True)
            assert not answer["Error"], answer
            opts["URL"] = url = str(answer["URL"])
            if proto == "tcp":
                break  # a random address is one agent's: fewer visitors than the others
        self._ports[kind] = int(url.rpartition(":")[2])

    def host(self, kind: str) -> str:
        """Return the name of the endpoint of a kind."""
        return f"{kind.replace(' ', '-')}.{self._known.domain}"

    async def serve(self, agent: Agent) -> None:
        """Greet every raw visitor, answer every request, and end when they end."""
        async with asyncio.TaskGroup() as visitors:
            while True:
                visitors.create_task(self._serve_one(await agent.visitors.get()))

    async def _serve_one(self, taken: Taken) -> None:
        web = taken.header.proto in ("http", "https")
        taken.writer.write(ANSWER if web else GREETING)
        try:
            while await taken.reader.read(KIB):
                pass
        except ConnectionError:
            pass  # it was reset
        taken.writer.close()

    def come(self, kind: str) -> socket.socket:
        """Be served once, and stay. Blocks."""
        sock = socket.create_connection(("127.0.0.1", self._ports[kind]), timeout=30)
        try:
            return self._served(sock, kind)
        except BaseException:
            sock.close()
            raise

    def _served(self, sock: socket.socket, kind: str) -> socket.socket:
        """Have a first word with the agent."""
        if kind in ("https", "tls ended"):
            sock = self._tls.wrap_socket(sock, server_hostname=self.host(kind))
        if kind == "tls":
            sock.sendall(client_hello(self.host(kind)))
        wanted = GREETING
        if kind in ("http", "https"):
            wanted = ANSWER
            sock.sendall(f"GET / HTTP/1.1\r\nHost: {self.host(kind)}:{self._ports[kind]}\r\n\r\n".encode())
        got = b""
        while len(got) < len(wanted):
            got += sock.recv(len(wanted) - len(got))
        assert got == wanted
        return sock

    def wait(self, kind: str) -> socket.socket:
        """Connect and say nothing. Blocks."""
        port = self._known.http_port if kind == "http" else self._known.https_port
        return socket.create_connection(("127.0.0.1", port), timeout=30)


async def gather(arrive: Callable[[str], socket.socket], kind: str, count: int) -> list[socket.socket]:
    """Have so many visitors arrive, a few at a time."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS) as pool:
        arriving = (loop.run_in_executor(pool, arrive, kind) for _ in range(count))
        # All of them are waited for: the pool would wait too, and stop this loop, which serves them.
        results = await asyncio.gather(*arriving, return_exceptions=True)
    there = [each for each in results if isinstance(each, socket.socket)]
    failed = [each for each in results if isinstance(each, BaseException)]
    if failed:
        leave(there)
        raise failed[0]
    return there


def leave(visitors: list[socket.socket]) -> None:
    """Reset them all: an end in order would wait for the agent's."""
    for visitor in visitors:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        visitor.close()


async def cost(
    place: Place, arrive: Callable[[str], socket.socket], kind: str, count: int
) -> tuple[float, int]:
    """Return the KiB that each of so many idle visitors costs the service, and the bytes of it all then."""
    leave(await gather(arrive, kind, max(50, count // 10)))  # everything has been done once
    await settled(place)
    before = place.service.rss()
    visitors = await gather(arrive, kind, count)
    try:
        assert open_files(place.service) >= place.files + count
        size = place.service.rss()
        return (size - before) / count / KIB, size
    finally:
        leave(visitors)
        await settled(place)


def open_files(service: Service) -> int:
    """Count the descriptors of the service."""
    return sum(1 for _ in Path(f"/proc/{service.pid}/fd").iterdir())


async def settled(place: Place) -> None:
    """Wait until visitors that have left are forgotten."""

    async def few() -> bool:
        return open_files(place.service) <= place.files + 10

    await eventually_async(few, "visitors that left are forgotten", timeout=30)


@asynccontextmanager
async def placed(folder: Path, kinds: list[str]) -> AsyncGenerator[Place]:
    """Run a service and the agents of these endpoints."""
    with running_service(folder, "--access-log", "off") as service:
        known = service.bootstrap
        port, ca = (
            int(known.connect_url.rpartition(":")[2]),
            await asyncio.to_thread(Path(known.ca_cert).read_bytes),
        )
        async with AsyncExitStack() as stack:
            agents = [
                await stack.enter_async_context(connected_agent(port, ca, token=known.authtoken))
                for _ in range(LEGS)
            ]
            place = Place(service, agents)
            serving = [asyncio.create_task(place.serve(agent)) for agent in agents]
            try:
                for kind in kinds:
                    await place.open(kind)
                yield place
            finally:
                for task in serving:
                    task.cancel()
                await asyncio.gather(*serving, return_exceptions=True)


KINDS = ["http", "https", "tcp", "tls", "tls ended"]


async def test_idle_visitors_cost_little(tmp_path: Path) -> None:
    """All kinds stay at the same time, so that none uses what another has left."""
    with descriptors(2 * FEW * len(KINDS)):
        async with placed(tmp_path, KINDS) as place:
            for kind in KINDS:  # everything has been done once
                leave(await gather(place.come, kind, 20))
            await settled(place)
            there: list[socket.socket] = []
            try:
                for kind in KINDS:
                    before = place.service.rss()
                    there += await gather(place.come, kind, FEW)
                    each = (place.service.rss() - before) / FEW / KIB
                    print(f"{kind}: {each:.1f} KiB for each of {FEW}")
                    assert each < MOST[kind], kind
            finally:
                leave(there)
            await settled(place)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
async def test_ten_thousand_idle_visitors(tmp_path: Path, kind: str) -> None:
    count = (
        4000 if kind == "tcp" else MANY
    )  # one session bears 4096 streams, and one address is one session's
    with descriptors(MANY + 2000):
        async with placed(tmp_path, [kind]) as place:
            first, size = await cost(place, place.come, kind, count)
            _more, again = await cost(place, place.come, kind, count)
            print(
                f"{kind}: {first:.1f} KiB for each of {count}; a second time {again / size:.2f} of the memory"
            )
            assert first < MOST[kind]
            assert again < size * 1.1, "what those who left have used serves those who come"


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["http", "https"])
async def test_ten_thousand_visitors_that_connect_and_wait(tmp_path: Path, kind: str) -> None:
    """Of https they are closed after three seconds; arriving takes longer than that."""
    with descriptors(MANY + 2000):
        async with placed(tmp_path, [kind]) as place:
            leave(await gather(place.come, kind, 50))
            await settled(place)
            before = place.service.rss()
            visitors = await gather(place.wait, kind, MANY)
            grown = (place.service.rss() - before) / MANY / KIB
            leave(await gather(place.come, kind, 10))  # the others are served as ever
            leave(visitors)
            await settled(place)
            print(f"{kind}: {grown:.1f} KiB for each of {MANY} that wait")
            assert grown < MOST["waiting"]
