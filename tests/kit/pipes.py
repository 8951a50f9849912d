"""The conformance suite of the Pipe and Sink contract: one suite for every kind of Pipe.

A subclass of `PipeContract` gives a fixture `ends`: two ends joined by whatever is under test, each
with a recording Sink. The suite looks at both ends only, so what lies between may be a pair in memory,
two legs and their sockets, or two sessions.
"""

import asyncio
import random
from collections.abc import Callable

import pytest

from portway.errors import LocalProtocolError
from portway.pipe import Pipe

#: Seconds that anything may take before the test fails.
PATIENCE = 10.0

ENDING = 30.0
"""Seconds that a fixture may take to end: a failure with a place is better than a run that hangs."""


async def turns(n: int) -> None:
    """Let the event loop turn `n` times, so that what is under way on loopback arrives."""
    for _ in range(n):
        await asyncio.sleep(0)


async def spin_until(condition: Callable[[], bool]) -> None:
    """Turn the event loop until `condition` holds: for what rings no bell."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for, and no time passes
            await asyncio.sleep(0)


class Bell:
    """Rung at every call of a Sink, so that tests wait for conditions and never for time."""

    def __init__(self) -> None:
        """Make a bell that nobody waits for."""
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake all that wait."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds. It is looked at after every ring."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future


class Recorder:
    """A Sink that writes down what it gets, and judges the order of calls."""

    def __init__(self, bell: Bell, *, consuming: bool = True) -> None:
        """Make a Sink; unless `consuming`, bytes wait for `consume_all`."""
        self.bell = bell
        self.pipe: Pipe | None = None
        self.consuming = consuming
        self.data = bytearray()
        self.unconsumed = 0
        self.ends = 0
        self.resets: list[int] = []
        self.rooms = 0

    def on_data(self, view: memoryview) -> None:
        """Record."""
        assert not self.resets, "data after a reset"
        assert not self.ends, "data after the end"
        assert len(view), "empty data"
        self.data += view
        if self.consuming and self.pipe is not None:
            self.pipe.consume(len(view))
        else:
            self.unconsumed += len(view)
        self.bell.ring()

    def on_end(self) -> None:
        """Record."""
        assert not self.resets, "an end after a reset"
        assert not self.ends, "a second end"
        self.ends += 1
        self.bell.ring()

    def on_reset(self, code: int) -> None:
        """Record."""
        assert not self.resets, "a second reset"
        self.resets.append(code)
        self.bell.ring()

    def on_room(self) -> None:
        """Record."""
        assert not self.resets, "room after a reset"
        self.rooms += 1
        self.bell.ring()

    def consume_all(self) -> None:
        """Consume what was kept, and everything from now on."""
        assert self.pipe is not None
        self.consuming = True
        owed, self.unconsumed = self.unconsumed, 0
        if owed:
            self.pipe.consume(owed)


class End:
    """One of two joined ends: its Pipe to write to, its Sink that records."""

    def __init__(self, pipe: Pipe, sink: Recorder) -> None:
        """Join the recorder to its Pipe."""
        self.pipe = pipe
        self.sink = sink
        sink.pipe = pipe

    async def put(self, data: bytes, *, seed: int = 0) -> None:
        """Write all of `data`, lending and sending in turn, waiting while parked."""
        choose = random.Random(seed)
        at = 0
        while at < len(data):
            rooms = self.sink.rooms
            if choose.random() < 0.5:
                taken, parked = self._lend(data[at:], choose)
            else:
                piece = data[at : at + choose.randint(1, 100_000)]
                taken = self.pipe.send(piece)
                parked = taken < len(piece)
            at += taken
            if parked and at < len(data):
                await self.sink.bell.until(lambda before=rooms: self.sink.rooms > before)
            elif choose.random() < 0.2:
                await asyncio.sleep(0)

    def _lend(self, rest: bytes, choose: random.Random) -> tuple[int, bool]:
        view = self.pipe.lend()
        if view is None:
            return 0, True
        n = min(len(view), len(rest), choose.randint(1, 100_000))
        view[:n] = rest[:n]
        return n, not self.pipe.filled(n)

    def put_until_parked(self, most: int) -> bytes:
        """Write without pause until parked; return what was taken. Fails at `most` bytes."""
        sent = bytearray()
        while True:
            piece = len(sent).to_bytes(8, "big") * 4096
            taken = self.pipe.send(piece)
            sent += piece[:taken]
            if taken < len(piece):
                assert self.pipe.lend() is None, "parked for send, yet it lends"
                return bytes(sent)
            assert len(sent) < most, f"not parked after {len(sent)} bytes"


class Ends:
    """Two joined ends under test."""

    def __init__(self, a: End, b: End, bell: Bell) -> None:
        """Hold both ends and the bell of both Sinks."""
        self.a = a
        self.b = b
        self.bell = bell

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on the recorders."""
        await self.bell.until(condition)

    @property
    def calm(self) -> bool:
        """Whether neither end has heard of an end or a reset."""
        return not any((sink.ends or sink.resets) for sink in (self.a.sink, self.b.sink))


class PipeContract:
    """The suite. Subclasses give the fixture `ends`."""

    #: Whether an abort's code reaches the other end as it was given.
    carries_codes = True
    #: Whether an abort is an end, then a reset: an end that completes both directions hides the reset.
    aborts_end_first = False
    #: Whether a reset that follows an end is only noticed by writing: nobody reads an ended socket.
    deaf_after_end = False
    #: Bytes after which a writer must be parked if its reader consumes nothing.
    bound = 1 << 22

    async def test_bytes_arrive_in_order_both_ways(self, ends: Ends) -> None:
        """Several windows each way at once, in pieces of all sizes."""
        there, back = random.Random(1).randbytes(1_500_000), random.Random(2).randbytes(1_300_000)
        await asyncio.gather(ends.a.put(there, seed=3), ends.b.put(back, seed=4))
        await ends.until(lambda: len(ends.b.sink.data) >= len(there) and len(ends.a.sink.data) >= len(back))
        assert ends.b.sink.data == there
        assert ends.a.sink.data == back
        assert ends.calm

    async def test_half_close_there(self, ends: Ends) -> None:
        """A ends; B hears it once, after the data, and still writes for as long as it likes."""
        await self._half_close(ends, ends.a, ends.b)

    async def test_half_close_back(self, ends: Ends) -> None:
        """The same with the sides exchanged."""
        await self._half_close(ends, ends.b, ends.a)

    async def _half_close(self, ends: Ends, first: End, second: End) -> None:
        question, answer = bytes(range(256)) * 100, bytes(range(255, -1, -1)) * 3000
        await first.put(question)
        first.pipe.end()
        await ends.until(lambda: second.sink.ends == 1)
        assert second.sink.data == question
        assert first.pipe.lend() is None
        assert first.pipe.send(b"late") == 0
        assert first.sink.ends == 0
        await second.put(answer)
        second.pipe.end()
        await ends.until(lambda: first.sink.ends == 1)
        assert first.sink.data == answer
        assert [first.sink.resets, second.sink.resets] == [[], []]

    async def test_an_empty_direction_ends(self, ends: Ends) -> None:
        """Ends without any data, both at once."""
        ends.a.pipe.end()
        ends.b.pipe.end()
        await ends.until(lambda: ends.a.sink.ends == 1 and ends.b.sink.ends == 1)
        assert [ends.a.sink.data, ends.b.sink.data] == [b"", b""]

    async def test_the_end_follows_data_that_nobody_consumes(self, ends: Ends) -> None:
        """An end needs no credit."""
        ends.b.sink.consuming = False
        await ends.a.put(b"x" * 10_000)
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        assert ends.b.sink.data == b"x" * 10_000

    async def test_a_writer_is_parked_and_resumed(self, ends: Ends) -> None:
        """A reader that consumes nothing parks its writer within bounds; consuming wakes it."""
        ends.b.sink.consuming = False
        sent = bytearray()
        while True:
            rooms = ends.a.sink.rooms
            sent += ends.a.put_until_parked(self.bound)
            assert len(sent) < self.bound, "a writer without a reader was never stopped"
            await turns(200)
            if ends.a.sink.rooms == rooms:
                break
        ends.b.sink.consume_all()
        await ends.until(lambda: ends.a.sink.rooms > rooms)
        tail = random.Random(5).randbytes(700_000)
        await ends.a.put(tail)
        await ends.until(lambda: len(ends.b.sink.data) == len(sent) + len(tail))
        assert ends.b.sink.data == sent + tail

    async def test_the_other_direction_flows_while_one_is_parked(self, ends: Ends) -> None:
        """Parking is per direction."""
        ends.b.sink.consuming = False
        ends.a.put_until_parked(self.bound)
        back = random.Random(6).randbytes(900_000)
        await ends.b.put(back)
        await ends.until(lambda: len(ends.a.sink.data) == len(back))
        assert ends.a.sink.data == back

    async def test_an_unfilled_lend_costs_nothing(self, ends: Ends) -> None:
        """Lend often, settle once."""
        for _ in range(1000):
            assert ends.a.pipe.lend() is not None
        await ends.a.put(b"y" * 400_000)
        await ends.until(lambda: len(ends.b.sink.data) == 400_000)

    async def test_a_lend_is_void_after_the_next_call(self, ends: Ends) -> None:
        """Settling twice, too much, nothing, or after another call is a bug of ours, told at once."""
        view = ends.a.pipe.lend()
        assert view is not None
        for wrong in (0, len(view) + 1):
            assert ends.a.pipe.lend() is not None
            with pytest.raises(LocalProtocolError):
                ends.a.pipe.filled(wrong)
        assert ends.a.pipe.lend() is not None
        ends.a.pipe.filled(5)
        with pytest.raises(LocalProtocolError):
            ends.a.pipe.filled(5)
        assert ends.a.pipe.lend() is not None
        ends.a.pipe.send(b"x")
        with pytest.raises(LocalProtocolError):
            ends.a.pipe.filled(1)

    async def test_consuming_what_was_not_delivered(self, ends: Ends) -> None:
        """A bug of ours too: credit out of nothing would break the peer's bounds."""
        ends.b.sink.consuming = False
        await ends.a.put(b"ten bytes!")
        await ends.until(lambda: len(ends.b.sink.data) == 10)
        ends.b.pipe.consume(4)
        with pytest.raises(LocalProtocolError):
            ends.b.pipe.consume(7)
        ends.b.pipe.consume(6)

    async def test_consuming_after_the_end(self, ends: Ends) -> None:
        """What was delivered may be consumed late, whatever has happened since."""
        ends.b.sink.consuming = False
        await ends.a.put(b"ten bytes!")
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        ends.b.pipe.consume(4)
        ends.b.pipe.end()
        await ends.until(lambda: ends.a.sink.ends == 1)
        ends.b.pipe.consume(6)

    async def test_room_is_told_to_the_parked_only(self, ends: Ends) -> None:
        """A writer that never had to stop hears nothing."""
        for _ in range(20):
            assert ends.a.pipe.send(b"z" * 10_000) == 10_000
            view = ends.a.pipe.lend()
            assert view is not None
            ends.a.pipe.filled(min(1000, len(view)))
            await turns(20)
        await ends.until(lambda: len(ends.b.sink.data) == 220_000)
        assert ends.a.sink.rooms == 0

    async def test_abort_resets_the_other_end(self, ends: Ends) -> None:
        """The other Sink's last call is on_reset; ours hears nothing."""
        await ends.a.put(b"before")
        await ends.until(lambda: bytes(ends.b.sink.data) == b"before")
        ends.a.pipe.abort(7)
        await ends.until(lambda: bool(ends.b.sink.resets))
        if self.carries_codes:
            assert ends.b.sink.resets == [7]
        assert ends.b.pipe.lend() is None
        assert ends.b.pipe.send(b"late") == 0
        assert ends.a.pipe.lend() is None
        assert ends.a.pipe.send(b"late") == 0
        assert not ends.a.sink.resets
        assert not ends.a.sink.ends

    async def test_abort_by_the_other_end(self, ends: Ends) -> None:
        """The same with the sides exchanged, with data under way in both directions."""
        ends.a.sink.consuming = False
        await ends.a.put(b"x" * 20_000)
        await ends.b.put(b"y" * 20_000)
        ends.b.pipe.abort()
        heard = len(ends.b.sink.data)
        await ends.until(lambda: bool(ends.a.sink.resets))
        assert ends.a.sink.resets == [6] or not self.carries_codes
        assert len(ends.b.sink.data) == heard, "an aborted Pipe's Sink was called"
        assert not ends.b.sink.resets

    async def test_abort_after_an_end(self, ends: Ends) -> None:
        """A half-closed Pipe can be cut too."""
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        ends.b.pipe.abort()
        if self.aborts_end_first:
            await ends.until(lambda: bool(ends.a.sink.ends or ends.a.sink.resets))
        else:
            await ends.until(lambda: bool(ends.a.sink.resets))

    async def test_ends_and_aborts_are_idempotent(self, ends: Ends) -> None:
        """Say anything twice, and in any order: the other end hears it once."""
        ends.a.pipe.end()
        ends.a.pipe.end()
        await ends.until(lambda: ends.b.sink.ends == 1)
        ends.a.pipe.abort()
        ends.a.pipe.abort()
        ends.a.pipe.end()
        if self.deaf_after_end:
            await spin_until(lambda: not ends.b.pipe.send(b"?") or bool(ends.b.sink.resets))
        await ends.until(lambda: bool(ends.b.sink.resets))
        ends.b.pipe.abort()
        ends.b.pipe.end()
        await turns(200)
        assert len(ends.b.sink.resets) == 1
        assert not ends.a.sink.resets
