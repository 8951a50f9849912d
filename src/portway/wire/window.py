"""Credit: how many bytes each side of a stream may still send.

Four numbers per stream. ``credit`` is what the peer lets *us* send. The other three describe
what we let the peer send::

    window    what we gave in all: initial, or raised; 0 once the peer has ended
    grant     what it may still send
    consumed  what left us for good and has not been given back yet

Bytes on their way through us are the rest: ``window - grant - consumed``. So a leg that stops
consuming stops its peer, and what we can ever hold of a stream is its window. Credit goes back in
steps, however large the window: half of a raised one would deadlock with a peer that cuts credit to
the initial window. Up to a step of any window lies idle, which tells on long links: toward peers
whose windows are never raised the step is small.

The invariants, checked at every change that is not per byte: ``0 ≤ credit ≤ cap``, ``0 ≤ grant``,
``grant + consumed ≤ window``, and ``0 ≤ consumed < step`` between calls.
"""

from typing import Final

from portway.errors import LocalProtocolError
from portway.wire.frames import INITIAL_WINDOW

GRANT_STEP: Final = 131_072
"""Bytes consumed after which they are given back by one WNDINC."""

SMALL_STEP: Final = 32_768
"""The same where the window stays at its initial size."""

SESSION_GRANTS: Final = 64 << 20
"""Bytes: no window is raised that would take the sum of a session's windows above this."""


class Account:
    """The credit of one stream, both ways."""

    __slots__ = ("consumed", "credit", "grant", "step", "window")

    def __init__(self) -> None:
        """Open an account with the initial window each way."""
        self.credit: int = INITIAL_WINDOW
        self.window: int = INITIAL_WINDOW
        self.grant: int = INITIAL_WINDOW
        self.consumed: int = 0
        self.step: int = GRANT_STEP

    def gain(self, increment: int, cap: int) -> None:
        """Add the peer's WNDINC to our credit, of which no more than ``cap`` is believed."""
        credit = self.credit + increment
        self.credit = min(credit, cap)

    def digest(self, n: int) -> bool:
        """Note ``n`` bytes as consumed; True when a WNDINC is due.

        Raise LocalProtocolError when more is consumed than was delivered.
        """
        consumed = self.consumed + n
        if consumed > self.window - self.grant:
            raise LocalProtocolError(f"consumed {n} bytes that were never delivered")
        self.consumed = consumed
        return consumed >= self.step

    def give_back(self, extra: int) -> int:
        """Grant again what was consumed, and ``extra`` to raise the window; return the increment."""
        increment = self.consumed + extra
        self.window += extra
        self.grant += increment
        self.consumed = 0
        assert 0 <= self.grant <= self.window
        return increment

    def close_in(self) -> None:
        """The peer has ended, or nobody listens: any further byte is one too many."""
        self.window = self.grant = self.consumed = 0

    def close_out(self) -> None:
        """We send no more."""
        self.credit = 0
