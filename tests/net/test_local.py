"""Unix sockets of our own programs: how they are made, and Pipes to who accepts on them."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.kit.pipes import Bell, End, Recorder

from portway.errors import ConfigError
from portway.net import local
from portway.net.local import PATH_LIMIT, LocalPipes, LocalSocket
from portway.net.tasks import Tasks

PATIENCE = 10.0
DESCRIPTORS = Path("/proc/self/fd")


def test_the_socket_is_private_replaces_what_stood_there_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.write_text("left by a service that was killed")
    with LocalSocket(path) as made:
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        assert repr(made) == f"<LocalSocket {path}>"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(made.address)
        made.close()
    assert not path.exists()


def deep(folder: Path) -> Path:
    """Make a folder whose path is too long for a socket."""
    found = folder / ("a" * PATH_LIMIT)
    found.mkdir()
    return found


def test_a_long_path_is_reached_through_its_folder(tmp_path: Path) -> None:
    path = deep(tmp_path) / "api.sock"
    before = set(DESCRIPTORS.iterdir())
    with LocalSocket(path) as made:
        assert len(made.address) <= PATH_LIMIT
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(made.address)
    assert not path.exists()
    assert set(DESCRIPTORS.iterdir()) == before


def test_a_long_path_without_such_a_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "DESCRIPTORS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="--data-dir"):
        LocalSocket(deep(tmp_path) / "api.sock")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        LocalSocket(tmp_path / "none" / "api.sock")


class Rig:
    """Pipes to a socket on which the test accepts."""

    def __init__(self, made: LocalSocket, pipes: LocalPipes) -> None:
        self.made = made
        self.pipes = pipes
        self.bell = Bell()

    def open(self) -> End:
        """Open a Pipe with a Sink that records."""
        sink = Recorder(self.bell)
        return End(self.pipes.open(sink), sink)

    async def accept(self) -> socket.socket:
        """Take the next connection."""
        inherited = socket.socket(fileno=os.dup(self.made.fileno()))
        inherited.setblocking(False)
        with inherited:
            async with asyncio.timeout(PATIENCE):
                peer, _ = await asyncio.get_running_loop().sock_accept(inherited)
        return peer


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Something to connect to."""
    with LocalSocket(tmp_path / "api.sock") as made:
        async with Tasks() as tasks:
            found = Rig(made, LocalPipes(made.address, tasks))
            yield found
            found.pipes.abort()


async def test_bytes_and_ends_pass_in_both_directions(rig: Rig) -> None:
    loop = asyncio.get_running_loop()
    end = rig.open()
    assert end.pipe.send(b"before it is connected") == 22
    assert len(rig.pipes) == 1
    with await rig.accept() as peer:
        assert await loop.sock_recv(peer, 100) == b"before it is connected"
        end.pipe.end()
        assert await loop.sock_recv(peer, 100) == b""
        payload = os.urandom(1 << 20)  # four windows
        await loop.sock_sendall(peer, payload)
        peer.shutdown(socket.SHUT_WR)
        await end.sink.bell.until(lambda: end.sink.ends == 1)
        assert bytes(end.sink.data) == payload
        async with asyncio.timeout(PATIENCE):
            await rig.pipes.drain(PATIENCE)
    assert len(rig.pipes) == 0
    assert "open=0" in repr(rig.pipes)


async def test_a_slow_reader_stops_the_writer(rig: Rig) -> None:
    end = rig.open()
    end.sink.consuming = False
    loop = asyncio.get_running_loop()
    with await rig.accept() as peer:
        sending = asyncio.ensure_future(loop.sock_sendall(peer, bytes(8 << 20)))
        await rig.bell.until(lambda: len(end.sink.data) >= 262_144)
        assert not sending.done()
        assert len(end.sink.data) == 262_144
        end.sink.consume_all()
        await sending
        await rig.bell.until(lambda: len(end.sink.data) == 8 << 20)
        end.pipe.abort()


async def test_who_comes_while_nobody_accepts_waits(rig: Rig) -> None:
    end = rig.open()
    end.pipe.send(b"patience")
    await rig.pipes.drain(0.01)
    assert end.sink.ends == 0
    with await rig.accept() as peer:
        assert await asyncio.get_running_loop().sock_recv(peer, 100) == b"patience"


async def test_a_lost_connection_resets_and_a_cut_one_is_closed(rig: Rig) -> None:
    first, second = rig.open(), rig.open()
    peers = [await rig.accept(), await rig.accept()]
    rig.pipes.abort()
    await rig.bell.until(lambda: len(first.sink.resets) + len(second.sink.resets) == 2)
    for peer in peers:
        assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""
        peer.close()


async def test_one_that_cannot_be_connected_ends_without_a_byte(rig: Rig) -> None:
    rig.made.close()
    end = rig.open()
    end.pipe.send(b"GET / HTTP/1.1\r\n\r\n")
    await end.sink.bell.until(lambda: end.sink.ends == 1)
    assert end.sink.data == b""
    end.pipe.end()
    await rig.pipes.drain(PATIENCE)
    assert len(rig.pipes) == 0


async def test_who_gave_up_meanwhile_leaves_nothing(rig: Rig) -> None:
    rig.open().pipe.abort()
    with await rig.accept() as peer:
        assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""
    await rig.pipes.drain(PATIENCE)
    assert len(rig.pipes) == 0
