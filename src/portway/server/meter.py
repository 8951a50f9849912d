"""What is counted of finished requests beside bytes: how long they took, and what policies decided.

Used only where somebody may ask: with ``--listen-metrics``. The kinds of decisions are few and fixed.
"""

from bisect import bisect_left
from collections.abc import Callable
from operator import attrgetter
from typing import Final

from portway.model.event import HttpRequestComplete, TcpConnectionClosed

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: upper bounds of the buckets of durations; a last one takes the rest."""

DECISIONS: Final = ("ip_policy", "basic_auth", "circuit_breaker", "webhook_verification", "oauth")
ANSWERS: Final = ("allow", "block", "allow_while_open")
_answers: Final[Callable[[HttpRequestComplete], tuple[str, ...]]] = attrgetter(
    *(f"{name}_decision" for name in DECISIONS)
)


class Meter:
    """Counts finished requests and connections of visitors."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0
        self.first_bytes = [0] * (len(BOUNDS) + 1)
        self.first_seconds = 0.0
        self.decisions: dict[tuple[str, str], int] = {}
        self.errors: dict[str, int] = {}
        """Requests that were answered by the service, by ERR_NGROK_n."""

    def __repr__(self) -> str:
        """Show how many requests there were."""
        return f"<Meter requests={sum(self.buckets)}>"

    def observe(self, event: HttpRequestComplete | TcpConnectionClosed) -> None:
        """Count one."""
        if not isinstance(event, HttpRequestComplete):
            if event.ip_policy_decision:
                self._decided("ip_policy", event.ip_policy_decision)
            return
        taken = max(0.0, event.end_ts - event.start_ts)
        self.buckets[bisect_left(BOUNDS, taken)] += 1
        self.seconds += taken
        if event.response_start_ts:
            first = max(0.0, event.response_start_ts - event.start_ts)
            self.first_bytes[bisect_left(BOUNDS, first)] += 1
            self.first_seconds += first
        if code := event.error_code:
            self.errors[code] = self.errors.get(code, 0) + 1
        answers = _answers(event)
        if any(answers):
            for name, answer in zip(DECISIONS, answers, strict=True):
                self._decided(name, answer)

    def _decided(self, name: str, answer: str) -> None:
        if answer in ANSWERS:
            self.decisions[name, answer] = self.decisions.get((name, answer), 0) + 1
