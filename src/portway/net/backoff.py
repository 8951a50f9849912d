"""How long to wait before the next attempt. Pure: time and randomness are given.

An outage is brisk at first, since most are short (a service that restarts, a laptop that wakes): waits
double from `first` to `brisk_cap`, for `brisk_for` seconds. Then they double on to `cap`. Each wait is
shortened by a random part, so that a thousand agents do not come back in step.
"""


class Backoff:
    """The waits of one outage after another. All times are in seconds."""

    __slots__ = ("_brisk_cap", "_brisk_for", "_cap", "_first", "_jitter", "_since", "_wait")

    def __init__(
        self,
        first: float = 0.5,
        brisk_cap: float = 2.0,
        brisk_for: float = 60.0,
        cap: float = 30.0,
        jitter: float = 0.2,
    ) -> None:
        """Make one. `jitter` is the largest part of a wait that chance takes away, 0 to 1."""
        if not 0 < first <= brisk_cap <= cap:
            raise ValueError("0 < first <= brisk_cap <= cap must hold")
        if not 0 <= jitter < 1:
            raise ValueError("0 <= jitter < 1 must hold")
        self._first = first
        self._brisk_cap = brisk_cap
        self._brisk_for = brisk_for
        self._cap = cap
        self._jitter = jitter
        self._since: float | None = None  # when this outage began
        self._wait = 0.0  # the last wait, before chance

    def next(self, now: float, rand: float) -> float:
        """Say how long to wait. `now` is monotonic; `rand` is random, 0 ≤ rand < 1.

        The first call after `reset` begins an outage.
        """
        if self._since is None:
            self._since = now
            self._wait = self._first
        else:
            brisk = now - self._since < self._brisk_for
            self._wait = min(self._wait * 2, self._brisk_cap if brisk else self._cap)
        return self._wait * (1 - self._jitter * rand)

    def reset(self) -> None:
        """Be told that the outage is over."""
        self._since = None

    def __repr__(self) -> str:
        """Show the last wait."""
        return f"<Backoff {'idle' if self._since is None else f'{self._wait:g} s'}>"
