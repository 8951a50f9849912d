"""The bytes of all bulk loads: endless noise that tells at any offset whether a piece belongs there."""

import random
from typing import Final

PERIOD: Final = 1_048_573
"""Length of the noise that is sent again and again: a prime, so that a lost block shows."""

CHUNK: Final = 256 * 1024
"""Bytes written or read at once, at most."""

_TWICE: Final = random.Random(20).randbytes(PERIOD) * 2
_VIEW: Final = memoryview(_TWICE)


class CorruptError(Exception):
    """A byte is not the one that was sent."""


def noise(offset: int, length: int) -> memoryview:
    """Return ``length`` ≤ CHUNK bytes of the noise from ``offset`` on, without a copy."""
    start = offset % PERIOD
    return _VIEW[start : start + length]


def verify(piece: bytes, offset: int) -> None:
    """Raise CorruptError unless a piece of at most CHUNK bytes is the noise at its offset."""
    if not _TWICE.startswith(piece, offset % PERIOD):
        raise CorruptError(f"wrong bytes after {offset}")
