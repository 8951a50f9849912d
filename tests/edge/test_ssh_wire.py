"""The socket of one SSH connection: joined writes, parking, floods, last words."""

import asyncio
from typing import Any, cast

import pytest
from tests.kit.pipes import spin_until

from portway.edge import ssh_wire
from portway.edge.ssh_wire import SshWire


class Socket:
    """A transport that takes as much as a test says."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.waiting = 0
        self.calls: list[str] = []

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == ssh_wire.HIGH

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


class Inner(asyncio.Protocol):
    """What speaks SSH."""

    def __init__(self) -> None:
        self.pieces: list[int] = []
        self.lost = 0

    def data_received(self, data: bytes) -> None:
        self.pieces.append(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1


class Sleeper:
    """A pipe that waits."""

    def __init__(self, woken: list[int], n: int) -> None:
        self.woken, self.n = woken, n

    def wake(self) -> None:
        self.woken.append(self.n)


def joined(inner: Inner | None = None) -> tuple[SshWire, Socket, Inner]:
    """Make a wire on a socket."""
    speaker = inner or Inner()
    wire, socket = SshWire(lambda _wire: speaker), Socket()
    wire.connection_made(cast("Any", socket))
    return wire, socket, speaker


async def test_one_write_a_turn() -> None:
    wire, socket, _ = joined()
    for piece in (b"a", b"b", b"c"):
        wire.write(piece)
    assert socket.writes == []
    await asyncio.sleep(0)
    assert socket.writes == [b"abc"]
    wire.write(b"x" * ssh_wire.JOIN)
    assert len(socket.writes) == 2
    assert wire.written == 3 + ssh_wire.JOIN


async def test_the_parked_are_woken_in_turn() -> None:
    wire, _, _ = joined()
    woken: list[int] = []
    wire.pause_writing()
    sleepers = [Sleeper(woken, n) for n in range(3)]
    for each in (*sleepers, sleepers[0]):
        wire.park(each)
    assert wire.full
    wire.write(b"x")
    await asyncio.sleep(0)
    assert woken == []
    wire.resume_writing()
    assert woken == [0, 1, 2]


async def test_who_does_not_take_answers_is_not_heard() -> None:
    wire, socket, _ = joined()
    wire.pause_writing()
    socket.waiting = ssh_wire.FLOOD
    wire.data_received(b"x")
    assert socket.calls == []
    socket.waiting += 1
    wire.data_received(b"x")
    wire.data_received(b"x")
    assert socket.calls == ["pause"]
    wire.resume_writing()
    assert socket.calls == ["pause", "resume"]


async def test_input_comes_in_pieces_and_a_stranger_says_little() -> None:
    wire, socket, inner = joined()
    wire.data_received(bytes(ssh_wire.PIECE * 2 + 1))
    assert inner.pieces == [ssh_wire.PIECE, ssh_wire.PIECE, 1]
    wire.data_received(bytes(ssh_wire.STRANGER))
    assert socket.calls == ["close"]
    assert wire.over
    trusted, socket, inner = joined()
    trusted.trusted = True
    trusted.data_received(bytes(ssh_wire.STRANGER * 2))
    assert sum(inner.pieces) == ssh_wire.STRANGER * 2
    for each in (wire, trusted):
        each.connection_lost(None)


async def test_last_words_are_written_and_the_end_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_wire, "LINGER", 0.0)
    wire, socket, inner = joined()
    wire.write(b"because")
    wire.abort()
    wire.abort()
    assert socket.writes == [b"because"]
    assert wire.is_closing()
    wire.write(b"late")
    await spin_until(lambda: "abort" in socket.calls)
    assert socket.calls == ["close", "abort"]
    wire.connection_lost(None)
    assert inner.lost == 1
    await wire.wait_closed()
    assert socket.writes == [b"because"]


async def test_nobody_to_speak_to() -> None:
    wire, socket = SshWire(lambda _wire: None), Socket()
    wire.connection_made(cast("Any", socket))
    assert socket.calls == ["close"]
    wire.connection_lost(None)
    assert "over" in repr(wire)
