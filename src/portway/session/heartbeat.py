"""Heartbeats: proving that the peer is alive, and answering its proofs.

Either side opens a stream of its own, writes four random bytes and waits for the same four to come
back; one probe is under way at a time, and the stream stays open for the whole session. `Heartbeat`
is our stream, `Echo` is any of the peer's.

The two sides judge differently. An agent wants *answers*: none within interval + tolerance ends the
session, so that it reconnects. A service counts any byte as a sign of life, since some agents stop
answering under load but still move data; it sets `heard_at` at each receive. Times are those of the
loop's clock, in seconds.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from portway.wire.stream import Stream

PROBE: Final = 4
"""Bytes of one probe."""

INTERVAL: Final = 10.0
"""Default seconds between two probes."""

TOLERANCE: Final = 15.0
"""Default seconds, beyond the interval, after which a silent peer is dead."""

REMEMBERED: Final = 30
"""Latencies of which the least is the link's own, without what waits at a busy end: of five minutes."""

NEAR: Final = 0.005
"""Seconds of latency below which a peer is near: half a mebibyte in a round trip is 100 MB/s then."""

SHORTEST: Final = 0.05
LONGEST: Final = 3600.0
"""What an agent may ask for, in seconds: less would be a flood, more would keep the dead for ever."""


def clamp(nanoseconds: int, default: float) -> float:
    """Turn a heartbeat time of Auth into seconds; 0 and less mean the default."""
    if nanoseconds <= 0:
        return default
    return min(max(nanoseconds / 1e9, SHORTEST), LONGEST)


def _four_random_bytes() -> bytes:
    return secrets.token_bytes(PROBE)


class Heartbeat:
    """Our own heartbeat stream: a Sink that probes and measures.

    The session calls `begin` once, asks `deadline` and calls `on_deadline`.
    """

    def __init__(
        self,
        interval: float,
        tolerance: float,
        clock: Callable[[], float],
        on_latency: Callable[[float], None],
        *,
        chance: Callable[[], bytes] = _four_random_bytes,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare; `on_latency` hears the seconds of each answered probe.

        The loop's clock is coarse (uvloop: 1 ms, read once a turn), so latency has a `stopwatch`.
        """
        self.interval = interval
        self.tolerance = tolerance
        self.heard_at = 0.0
        """When anything came from the peer, where that counts; else 0."""
        self._clock = clock
        self._on_latency = on_latency
        self._chance = chance
        self._stopwatch = stopwatch
        self._started = 0.0
        self._stream: Stream | None = None
        self._answered_at = clock()
        self._next_probe: float | None = None
        self._sent_at = 0.0
        self._probe = b""
        self._answer = b""
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)

    def begin(self, stream: Stream) -> None:
        """Take the stream, opened with this Sink, and send the first probe."""
        self._stream = stream
        self._answered_at = self._clock()
        self._send(self._answered_at)

    @property
    def near(self) -> bool:
        """Whether the peer is near; False until a probe was answered."""
        return min(self._latencies, default=NEAR) < NEAR

    @property
    def dead_at(self) -> float:
        """When the peer counts as dead unless it shows life before."""
        return max(self._answered_at, self.heard_at) + self.interval + self.tolerance

    def deadline(self) -> float:
        """When `on_deadline` must be called next."""
        return self.dead_at if self._next_probe is None else min(self._next_probe, self.dead_at)

    def on_deadline(self, now: float) -> bool:
        """Probe if it is time to; return True when the peer is dead."""
        if now >= self.dead_at:
            return True
        if self._next_probe is not None and now >= self._next_probe:
            self._send(now)
        return False

    def _send(self, now: float) -> None:
        self._next_probe = None
        self._probe = self._chance()
        self._answer = b""
        self._sent_at = now
        self._started = self._stopwatch()
        if self._stream is not None:
            self._stream.send(self._probe)  # always has credit: one probe is under way at a time

    def on_data(self, view: memoryview) -> None:
        """Compare the answer. A wrong one ends the probing in silence: the time-out speaks."""
        if self._stream is None:
            return
        self._stream.consume(len(view))
        if not self._probe:
            return
        self._answer += view[: PROBE + 1 - len(self._answer)]
        if len(self._answer) < PROBE:
            return
        right, self._probe = self._answer == self._probe, b""
        if right:
            now = self._clock()
            self._answered_at = now
            self._next_probe = max(self._sent_at + self.interval, now)
            latency = self._stopwatch() - self._started
            self._latencies.append(latency)
            self._on_latency(latency)

    def on_end(self) -> None:
        """The peer will not answer any more. Our side stays open: some agents cannot bear its end."""

    def on_reset(self, code: int) -> None:
        """The stream is gone: no probe more, and the time-out decides."""
        self._stream = None
        self._next_probe = None

    def on_room(self) -> None:
        """Nothing waits here."""

    def __repr__(self) -> str:
        """Show the times and whether a probe is under way."""
        state = "probing" if self._probe else "waiting"
        return f"<Heartbeat {state} every {self.interval} s, dead at {self.dead_at:.3f}>"


class Echo:
    """A heartbeat stream of the peer: a Sink that returns each probe in one piece.

    Four bytes go back together, since some agents take a part of them for a whole answer. A peer that
    does not read its answers gets no more credit: what waits here never exceeds its window.
    """

    def __init__(self, stream: Stream) -> None:
        """Answer on this stream."""
        self._stream = stream
        self._waiting = bytearray()
        self._split = 0  # bytes of the first waiting probe that have gone back already
        self._ended = False

    def on_data(self, view: memoryview) -> None:
        """Send back all whole probes."""
        self._waiting += view
        self._answer()

    def on_room(self) -> None:
        """Go on answering."""
        self._answer()

    def _answer(self) -> None:
        known = self._split + len(self._waiting)
        whole = known - known % PROBE - self._split
        if whole > 0:
            taken = self._stream.send(bytes(self._waiting[:whole]))
            del self._waiting[:taken]
            self._split = (self._split + taken) % PROBE
            self._stream.consume(taken)
            whole -= taken
        if self._ended and whole <= 0:
            self._stream.end()

    def on_end(self) -> None:
        """End our side too, once everything is answered."""
        self._ended = True
        self._answer()

    def on_reset(self, code: int) -> None:
        """Nothing is left to answer."""
        self._waiting.clear()
