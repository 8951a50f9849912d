"""Messages over a socket pair."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from portway.errors import Error, RefusedSession
from portway.server import channel as channels
from portway.server.channel import Channel, arguments


class Number(msgspec.Struct):
    n: int


class Side:
    """One end that answers `double`, refuses `refuse` and waits in `wait`."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, bytes]] = []
        self.noted = asyncio.Event()
        self.handled: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.lost = asyncio.Event()
        self.far = asyncio.Event()
        self.channel = Channel(self.handle, self.note, self.lost.set, beside={"far"})

    async def handle(self, do: str, args: msgspec.Raw) -> object:
        if do == "far":
            await self.far.wait()
            return {"n": 0}
        await self.gate.wait()
        if do == "refuse":
            raise Error("No.", 107)
        if do == "refuse session":
            raise RefusedSession("No.", 107, "ac_1", "cr_1")
        if do == "crash":
            raise ZeroDivisionError
        number = arguments(args, Number).n
        self.handled.append(number)
        return {"n": 2 * number}

    def note(self, do: str, args: msgspec.Raw) -> None:
        self.notes.append((do, bytes(args)))
        self.noted.set()


@asynccontextmanager
async def joined() -> AsyncGenerator[tuple[Side, Side]]:
    loop = asyncio.get_running_loop()
    sides = Side(), Side()
    for side, end in zip(sides, socket.socketpair(), strict=True):
        await loop.create_unix_connection(lambda side=side: side.channel, sock=end)
    try:
        yield sides
    finally:
        for side in sides:
            await side.channel.close()
            await side.lost.wait()


@asynccontextmanager
async def against_bytes() -> AsyncGenerator[tuple[Side, socket.socket]]:
    """Join a side to a bare socket."""
    loop = asyncio.get_running_loop()
    side = Side()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with theirs:
        await loop.create_unix_connection(lambda: side.channel, sock=ours)
        yield side, theirs
        await side.channel.close()
        await side.lost.wait()


async def test_requests_are_answered_both_ways() -> None:
    async with joined() as (one, other):
        assert await one.channel.call("double", {"n": 4}, Number) == Number(8)
        assert await other.channel.call("double", {"n": 5}, Number) == Number(10)
        assert "open" in repr(one.channel)
    assert "closed" in repr(one.channel)


async def test_many_requests_at_once_keep_their_order() -> None:
    async with joined() as (one, other):
        answers = await asyncio.gather(*(one.channel.call("double", {"n": n}, Number) for n in range(300)))
        assert [each.n for each in answers] == [2 * n for n in range(300)]
        assert other.handled == list(range(300))


async def test_a_request_that_waits_for_somebody_far_away_holds_up_no_other() -> None:
    async with joined() as (one, other):
        far = [asyncio.ensure_future(one.channel.call("far", {}, Number)) for _ in range(3)]
        assert await one.channel.call("double", {"n": 4}, Number) == Number(8)
        assert not any(call.done() for call in far)
        other.far.set()
        assert await asyncio.gather(*far) == [Number(0)] * 3


async def test_of_those_only_so_many_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "BESIDE_LIMIT", 1)
    async with joined() as (one, other):
        far = asyncio.ensure_future(one.channel.call("far", {}, Number))
        await one.channel.call("double", {"n": 4}, Number)
        with pytest.raises(Error) as caught:
            await one.channel.call("far", {}, Number)
        assert caught.value.code == "ERR_NGROK_128"
        other.far.set()
        assert await far == Number(0)
        assert await one.channel.call("far", {}, Number) == Number(0)


async def test_a_refusal_arrives_with_its_code() -> None:
    async with joined() as (one, _):
        with pytest.raises(Error) as caught:
            await one.channel.call("refuse", {}, Number)
    assert caught.value.code == "ERR_NGROK_107"
    assert caught.value.message == "No."


async def test_a_fault_is_logged_whole_and_told_as_temporary(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (one, _):
        with caplog.at_level(logging.ERROR), pytest.raises(Error) as caught:
            await one.channel.call("crash", {}, Number)
        assert await one.channel.call("double", {"n": 1}, Number) == Number(2)
    assert caught.value.code == "ERR_NGROK_128"
    assert "ZeroDivisionError" in caplog.text


async def test_answers_and_arguments_that_do_not_fit_are_errors() -> None:
    async with joined() as (one, _):
        with pytest.raises(Error, match="does not fit"):
            await one.channel.call("double", {"n": "four"}, Number)
        with pytest.raises(Error, match="does not fit"):
            await one.channel.call("double", {"n": 4}, str)


async def test_notes_arrive() -> None:
    async with joined() as (one, other):
        one.channel.note("revoked", {"n": 1})
        await other.noted.wait()
        assert other.notes == [("revoked", b'{"n":1}')]


async def test_what_waits_fails_when_the_channel_is_lost() -> None:
    async with joined() as (one, other):
        other.gate.clear()
        waiting = asyncio.ensure_future(one.channel.call("double", {"n": 1}, Number))
        await asyncio.sleep(0)
        await other.channel.close()
        with pytest.raises(Error) as caught:
            await waiting
        assert caught.value.code == "ERR_NGROK_128"
        await one.lost.wait()
        with pytest.raises(Error) as caught:
            await one.channel.call("double", {"n": 1}, Number)
        assert caught.value.code == "ERR_NGROK_128"
        one.channel.note("late", {})


async def test_a_late_answer_is_an_error_and_then_ignored() -> None:
    async with joined() as (one, other):
        other.gate.clear()
        with pytest.raises(Error) as caught:
            await one.channel.call("double", {"n": 1}, Number, timeout=0)
        assert caught.value.code == "ERR_NGROK_128"
        other.gate.set()
        assert await one.channel.call("double", {"n": 2}, Number) == Number(4)


async def test_requests_that_arrived_are_finished_after_the_peer_is_gone() -> None:
    async with joined() as (one, other):
        other.gate.clear()
        calls = [asyncio.ensure_future(one.channel.call("double", {"n": n}, Number)) for n in range(3)]
        await asyncio.sleep(0)
        await one.channel.close()
        await asyncio.gather(*calls, return_exceptions=True)
        await other.lost.wait()
        other.gate.set()
        await other.channel.finish(10)
        assert other.handled == [0, 1, 2]


async def test_finishing_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    async with joined() as (one, other):
        other.gate.clear()
        call = asyncio.ensure_future(one.channel.call("double", {"n": 1}, Number))
        await asyncio.sleep(0)
        one.channel.note("arrived", {})
        await other.noted.wait()
        await other.channel.finish(0)
        assert "not handled in time" in caplog.text
        other.gate.set()
        await call


async def test_requests_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PENDING_LIMIT", 3)
    async with joined() as (one, other):
        other.gate.clear()
        calls = [asyncio.ensure_future(one.channel.call("double", {"n": n}, Number)) for n in range(4)]
        with pytest.raises(Error) as caught:
            await calls[3]
        assert caught.value.code == "ERR_NGROK_128"
        other.gate.set()
        assert [each.n for each in await asyncio.gather(*calls[:3])] == [0, 2, 4]


async def test_a_flood_of_requests_is_refused_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "PENDING_LIMIT", 2)
    async with against_bytes() as (side, peer):
        side.gate.clear()
        requests = [msgspec.json.encode({"id": n, "do": "double", "args": {"n": n}}) for n in range(1, 6)]
        data = b"".join(len(each).to_bytes(4, "big") + each for each in requests)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(peer, data)
        refused = await loop.sock_recv(peer, 65536)
        assert refused.count(b"ERR_NGROK_128") in {2, 3}  # one may be in hand already
        side.gate.set()


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\2no", b"\0\0\0\1{", b"\0\0\0\0"])
async def test_a_peer_that_talks_nonsense_loses_the_channel(data: bytes) -> None:
    async with against_bytes() as (side, peer):
        await asyncio.get_running_loop().sock_sendall(peer, data)
        await side.lost.wait()


async def test_a_message_may_arrive_byte_by_byte() -> None:
    async with against_bytes() as (side, peer):
        text = msgspec.json.encode({"do": "note", "args": {"n": 1}})
        for byte in len(text).to_bytes(4, "big") + text:
            side.channel.data_received(bytes([byte]))
        assert side.notes == [("note", b'{"n":1}')]
        assert peer.fileno() >= 0


async def test_a_peer_that_does_not_read_loses_the_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "BUFFER_LIMIT", 1 << 16)
    async with against_bytes() as (side, _):
        for _ in range(64):
            side.channel.note("big", {"text": "x" * (1 << 16)})
        await side.lost.wait()


async def test_a_ping_is_answered_before_what_waits_to_be_done() -> None:
    async with joined() as (here, there):
        there.gate.clear()
        busy = asyncio.ensure_future(here.channel.call("double", {"n": 1}, Number))
        await here.channel.call(channels.PING, {}, type(None))
        assert not busy.done()
        there.gate.set()
        assert (await busy).n == 2


@pytest.mark.row("EV-09")
async def test_whose_session_was_refused_is_told() -> None:
    async with joined() as (one, _):
        with pytest.raises(RefusedSession) as caught:
            await one.channel.call("refuse session", {}, Number)
        error = caught.value
        assert (error.code, error.account_id, error.credential_id) == ("ERR_NGROK_107", "ac_1", "cr_1")
        with pytest.raises(Error) as plain:
            await one.channel.call("refuse", {}, Number)
        assert not isinstance(plain.value, RefusedSession)
