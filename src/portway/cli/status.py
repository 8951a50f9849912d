"""What an agent is doing right now: the numbers behind the status screen.

Pure: events and times go in, a picture can be drawn from it at any moment. All queues are
bounded; rates come from one counter a second over five minutes.
"""

from collections import deque
from dataclasses import dataclass, field

KEPT_REQUESTS = 50
"""Requests remembered for the screen; what does not fit the terminal is not shown."""

KEPT_LATENCIES = 60
"""Round trips that the sparkline is drawn from."""

KEPT_DURATIONS = 1024
"""Connection durations that the percentiles are taken over."""

MINUTE, FIVE_MINUTES = 60, 300


@dataclass(frozen=True, slots=True)
class Request:
    """One finished request, as the screen shows it. `at` is a wall clock text such as 12:00:01.250.

    `seconds` is how long it took.
    """

    at: str
    method: str
    path: str
    status: int
    seconds: float = 0.0


class Rate:
    """Counts per second over the last five minutes, in a ring of 300 counters."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._ring = [0] * FIVE_MINUTES
        self._second = 0

    def add(self, now: float) -> None:
        """Count one event at `now` (seconds of a clock that never goes back)."""
        self._turn(now)
        self._ring[self._second % FIVE_MINUTES] += 1

    def per_second(self, now: float, window: int) -> float:
        """Mean number a second over the last `window` seconds (at most 300)."""
        self._turn(now)
        total = sum(self._ring[(self._second - i) % FIVE_MINUTES] for i in range(window))
        return total / window

    def _turn(self, now: float) -> None:
        second = int(now)
        for step in range(min(second - self._second, FIVE_MINUTES)):
            self._ring[(second - step) % FIVE_MINUTES] = 0
        self._second = max(second, self._second)


@dataclass(slots=True)
class Status:
    """The state of one agent as its user sees it."""

    version: str
    session: str = "connecting"
    problem: str = ""
    account: str = ""
    plan: str = ""
    region: str = ""
    connect_url: str = ""
    latency: float | None = None
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_LATENCIES))
    forwarding: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    messages: list[str] = field(default_factory=list[str])
    opened: int = 0
    closed: int = 0
    http: bool = False
    qr: bool = False
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    rate: Rate = field(default_factory=Rate)
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_DURATIONS))

    def online(self) -> None:
        """The session stands (again)."""
        self.session, self.problem = "online", ""

    def offline(self, reason: str) -> None:
        """The session is lost; the agent is at work to get it back."""
        self.session, self.problem, self.latency = "reconnecting", reason, None

    def heard(self, latency: float) -> None:
        """A heartbeat was answered after so many seconds."""
        self.latency = latency
        self.latencies.append(latency)

    def connection_opened(self, now: float) -> None:
        """A visitor's connection has come."""
        self.opened += 1
        self.rate.add(now)

    def connection_closed(self, seconds: float) -> None:
        """A visitor's connection has gone after so many seconds."""
        self.closed += 1
        self.durations.append(seconds)

    def percentile(self, share: float) -> float:
        """Duration in seconds that the given share of recent connections stayed within."""
        if not self.durations:
            return 0.0
        ordered = sorted(self.durations)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    @property
    def open_now(self) -> int:
        """Connections that are open at this moment."""
        return self.opened - self.closed
