"""Accepting connections, also when the machine is full."""

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
from tests.kit.pipes import spin_until, turns

from portway.errors import ConfigError
from portway.net import listen as listen_module
from portway.net.listen import Listener, listen


class Greeter(asyncio.Protocol):
    """Says hello, and is remembered until it is lost."""

    alive: "set[Greeter]"

    def __init__(self, alive: "set[Greeter]") -> None:
        """Join the living when connected."""
        self.alive = alive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        self.transport = cast("asyncio.Transport", transport)
        self.alive.add(self)
        self.transport.write(b"hello")

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the living."""
        self.alive.discard(self)


@contextmanager
def _clients(count: int) -> Generator[list[socket.socket]]:
    """Sockets that are not connected yet."""
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.setblocking(False)
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


async def _greeted(sock: socket.socket) -> None:
    async with asyncio.timeout(10):
        assert await asyncio.get_running_loop().sock_recv(sock, 10) == b"hello"


async def _over(alive: set[Greeter], listener: Listener) -> None:
    listener.close()
    listener.close()
    await spin_until(lambda: not alive)
    await turns(3)


async def test_every_connection_gets_its_protocol() -> None:
    """More than one batch at once; small writes are not held back."""
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive), what="--listen-x")
    with _clients(listen_module.BATCH * 2 + 10) as clients:
        for client in clients:
            client.connect_ex(("127.0.0.1", listener.port))
        for client in clients:
            await _greeted(client)
        assert listener.accepted == len(clients)
        assert len(alive) == len(clients)
        assert repr(listener) == (
            f"<Listener --listen-x 127.0.0.1:{listener.port} accepting accepted={len(clients)}>"
        )
        sock = next(iter(alive)).transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await _over(alive, listener)


@pytest.mark.parametrize("guarded", [False, True])
async def test_guarded_connections_are_born_to_be_reset(guarded: bool) -> None:
    """What is killed before it was served must not seem to have ended in order."""
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive), guarded=guarded)
    loop = asyncio.get_running_loop()
    with _clients(1) as (client,):
        await loop.sock_connect(client, ("127.0.0.1", listener.port))
        await _greeted(client)
        next(iter(alive)).transport.close()
        if guarded and listen_module.INHERITS:
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(client, 1)
        else:
            assert await loop.sock_recv(client, 1) == b""
    await _over(alive, listener)


async def test_peers_that_are_gone_without_a_word_are_noticed() -> None:
    seen: list[tuple[int, int, int, int]] = []

    class Looker(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            sock = transport.get_extra_info("socket")
            tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, probes = (sock.getsockopt(socket.IPPROTO_TCP, each) for each in tcp)
            seen.append((sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), idle, interval, probes))
            cast("asyncio.Transport", transport).close()

    listener = await listen("127.0.0.1", 0, Looker)
    with _clients(1) as clients:
        with suppress(BlockingIOError):
            clients[0].connect(("127.0.0.1", listener.port))
        await spin_until(lambda: bool(seen))
    listener.close()
    assert seen == [(1, 60, 15, 4)]


async def test_a_descriptor_is_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the loop closes again may be another thread's file by then."""
    made: list[socket.socket] = []
    lost: list[int] = []

    class Watched(listen_module.Accepted):
        def __init__(self, *args: int) -> None:
            super().__init__(*args)
            made.append(self)

        def close(self) -> None:
            descriptor = self.fileno()
            with suppress(OSError):  # asyncio closes it here, and nowhere else
                os.fstat(descriptor)
                super().close()
                return
            lost.append(descriptor)

    monkeypatch.setattr(listen_module, "Accepted", Watched)
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive), what="--listen-x")
    with _clients(1) as (client,):
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", listener.port))
        await _greeted(client)
        next(iter(alive)).transport.close()
        await _over(alive, listener)
    assert [each.fileno() for each in made] == [-1]
    assert not lost
    assert made[0].family == int(socket.AF_INET)
    assert type(made[0].type) is int


async def test_closing_refuses_new_ones_and_spares_the_rest() -> None:
    """Drain: what was accepted lives on."""
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive))
    port = listener.port
    loop = asyncio.get_running_loop()
    with _clients(2) as (old, new):
        await loop.sock_connect(old, ("127.0.0.1", port))
        await _greeted(old)
        listener.close()
        assert listener.port == 0
        assert listener.addresses == []
        with pytest.raises(ConnectionRefusedError):
            await loop.sock_connect(new, ("127.0.0.1", port))
        assert len(alive) == 1
    await _over(alive, listener)


async def test_at_rest_who_comes_waits_until_the_end() -> None:
    """Neither accepted nor refused: some agents would use up their next tries within a moment."""
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive))
    loop = asyncio.get_running_loop()
    with _clients(1) as (late,):
        listener.rest()
        listener.rest()
        await loop.sock_connect(late, ("127.0.0.1", listener.port))
        assert "resting accepted=0" in repr(listener)
        listener.close()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(late, 1)
    await _over(alive, listener)


async def test_all_addresses_share_one_port() -> None:
    """ "" is every address of the machine, both families where there are two."""
    alive: set[Greeter] = set()
    listener = await listen("", 0, lambda: Greeter(alive))
    assert len({address.rpartition(":")[2] for address in listener.addresses}) == 1
    with _clients(1) as (client,):
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", listener.port))
        await _greeted(client)
    await _over(alive, listener)


async def test_ipv6() -> None:
    """An address in brackets when written."""
    try:
        listener = await listen("::1", 0, asyncio.Protocol)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    assert listener.addresses == [f"[::1]:{listener.port}"]
    listener.close()


async def test_a_taken_port_names_the_flag() -> None:
    """At once, and with what to do."""
    first = await listen("127.0.0.1", 0, asyncio.Protocol)
    with pytest.raises(ConfigError) as caught:
        await listen("127.0.0.1", first.port, asyncio.Protocol, what="--listen-http")
    assert str(caught.value) == (
        f"--listen-http: cannot listen on 127.0.0.1:{first.port}: "
        "the port is taken by another program; choose another"
    )
    first.close()


async def test_a_shared_port() -> None:
    """Where several workers accept on one port, none of them is refused."""
    first = await listen("127.0.0.1", 0, asyncio.Protocol, reuse_port=True)
    second = await listen("127.0.0.1", first.port, asyncio.Protocol, reuse_port=True)
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("host", "port", "says"),
    [
        ("name.invalid", 0, "is not an address to listen on"),
        ("192.0.2.1", 0, "this machine does not have that address"),
        ("127.0.0.1", 70_000, "is not a port"),
    ],
)
async def test_what_cannot_be_listened_on(host: str, port: int, says: str) -> None:
    """Each is the user's mistake, and says so."""
    with pytest.raises(ConfigError, match=says) as caught:
        await listen(host, port, asyncio.Protocol, what="--listen-tcp")
    assert str(caught.value).startswith("--listen-tcp: ")


async def test_an_inherited_unix_socket(tmp_path: Path) -> None:
    """Sockets made elsewhere serve as well."""
    alive: set[Greeter] = set()
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    sock.listen()
    listener = Listener([sock], lambda: Greeter(alive), what="api")
    assert listener.port == 0
    assert listener.addresses == [str(tmp_path / "s")]
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, str(tmp_path / "s"))
        await _greeted(client)
    await _over(alive, listener)


async def test_a_faulty_factory_costs_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    """The fault is logged, the visitor let go, the next one served."""
    alive: set[Greeter] = set()
    faults = [ZeroDivisionError("a bug")]

    def make() -> Greeter:
        if faults:
            raise faults.pop()
        return Greeter(alive)

    listener = await listen("127.0.0.1", 0, make)
    loop = asyncio.get_running_loop()
    with _clients(2) as (unlucky, lucky):
        await loop.sock_connect(unlucky, ("127.0.0.1", listener.port))
        async with asyncio.timeout(10):
            assert await loop.sock_recv(unlucky, 1) == b""
        await loop.sock_connect(lucky, ("127.0.0.1", listener.port))
        await _greeted(lucky)
    assert [record.getMessage() for record in caplog.records] == ["listener: a connection got no protocol"]
    await _over(alive, listener)


def _fill(fillers: list[socket.socket]) -> None:
    while True:
        fillers.append(socket.socket())


@contextmanager
def _no_more_descriptors() -> Generator[None]:
    """Forbid this process every further descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers: list[socket.socket] = []
    top = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (top + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            _fill(fillers)  # the gaps below the limit
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            filler.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
async def test_without_descriptors_it_pauses_says_so_once_and_recovers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It never spins, drops nobody, and needs no help afterwards."""
    pause = 0.02
    monkeypatch.setattr(listen_module, "PAUSE", pause)
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive), what="--listen-http")
    port = listener.port
    loop = asyncio.get_running_loop()
    tries = 0
    accept = listen_module.accept

    def counted(sock: socket.socket) -> tuple[int, object]:
        nonlocal tries
        tries += 1
        return accept(sock)

    monkeypatch.setattr(listen_module, "accept", counted)
    with _clients(20) as clients:
        with _no_more_descriptors():
            began = loop.time()
            for client in clients:
                client.connect_ex(("127.0.0.1", port))
            await spin_until(lambda: listener.pauses >= 4)
            took = loop.time() - began
            assert "paused" in repr(listener)
            assert tries == listener.pauses, "it tried while it should have paused"
            assert took >= 3 * pause * 0.9
            assert not alive
        for client in clients:
            await _greeted(client)
        assert len(alive) == len(clients)
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in errors] == [
        "--listen-http: cannot accept: Too many open files; raise the limit of open files (ulimit -n)"
    ]
    await _over(alive, listener)


async def test_closing_while_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer goes with the listener."""
    listener = await listen("127.0.0.1", 0, asyncio.Protocol)

    def full(_: socket.socket) -> tuple[int, object]:
        raise OSError(errno.ENFILE, "Too many open files in system")

    monkeypatch.setattr(listen_module, "accept", full)
    with _clients(1) as (client,):
        client.connect_ex(("127.0.0.1", listener.port))
        await spin_until(lambda: listener.pauses == 1)
        listener.close()
        assert "closed" in repr(listener)


async def test_a_visitor_that_left_is_no_reason_to_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """ECONNABORTED concerns one connection."""
    alive: set[Greeter] = set()
    listener = await listen("127.0.0.1", 0, lambda: Greeter(alive))
    accept, faults = listen_module.accept, [ConnectionAbortedError(errno.ECONNABORTED, "gone")]

    def flaky(sock: socket.socket) -> tuple[int, object]:
        if faults:
            raise faults.pop()
        return accept(sock)

    monkeypatch.setattr(listen_module, "accept", flaky)
    with _clients(1) as (client,):
        client.connect_ex(("127.0.0.1", listener.port))
        await _greeted(client)
    assert listener.pauses == 0
    await _over(alive, listener)
