"""The memory that all connections of one event loop share.

A connection reads only when its socket has something, and what was read is used up before the next
callback runs. So one set of receive buffers serves every connection of a loop; a set per connection
cost 11 MB per 1000 streams instead of 1.5. It belongs to the *loop*, not to the process: two loops may
run in two threads.

The areas are different: a session fills its area in one callback and empties it in a later one. They
are borrowed at the first byte and given back when empty, so an idle session has none.
"""

import asyncio
from weakref import WeakKeyDictionary

#: Bytes read from a session's socket at once, and decrypted at once.
RAW = 262_144
#: Bytes of ciphertext that a TLS leg reads at once.
CIPHER = 65_536
#: Bytes that a TLS filter encrypts at once.
PLAIN = 65_536
#: What a parked leg offers to its loop: it must offer something, and keeps what came.
SPILL = 4_096
#: Size of a session's outgoing bulk area: 256 KiB, and one frame that may start below that mark.
AREA = 524_288
#: How many empty areas a loop keeps for the next session. More are left to the allocator.
SPARE_AREAS = 16


class Areas:
    """Outgoing bulk areas, lent to sessions."""

    def __init__(self, size: int = AREA, spare: int = SPARE_AREAS) -> None:
        """Make an empty pool: areas of `size` bytes, at most `spare` kept while unused."""
        self._size = size
        self._spare = spare
        self._free: list[bytearray] = []
        self.lent = 0  # how many are out, for metrics and tests

    def borrow(self) -> bytearray:
        """Take an area. Its contents are what the last borrower left: never read before written."""
        self.lent += 1
        return self._free.pop() if self._free else bytearray(self._size)

    def give_back(self, area: bytearray) -> None:
        """Return an area; nobody may use it or a view of it from now on."""
        self.lent -= 1
        if len(self._free) < self._spare:
            self._free.append(area)

    def __repr__(self) -> str:
        """Show how many are out and how many wait."""
        return f"<Areas {self.lent} lent, {len(self._free)} spare of {self._size} bytes>"


class Buffers:
    """One loop's shared memory. A view may be used until the current callback returns, no longer."""

    __slots__ = ("areas", "cipher", "parse", "plain", "raw", "spill")

    def __init__(self) -> None:
        """Allocate; pages that are never touched cost nothing."""
        #: What a socket delivers: ciphertext of a session, or the first bytes of a connection.
        self.raw = memoryview(bytearray(RAW))
        #: The first part of `raw`, for TLS legs: a small read keeps their backlog small.
        self.cipher = self.raw[:CIPHER]
        #: What the pump decrypted.
        self.parse = memoryview(bytearray(RAW))
        #: What a TLS filter lends: bytes on their way into the pump.
        self.plain = memoryview(bytearray(PLAIN))
        #: What a parked leg offers.
        self.spill = memoryview(bytearray(SPILL))
        self.areas = Areas()


_sets: "WeakKeyDictionary[asyncio.AbstractEventLoop, Buffers]" = WeakKeyDictionary()


def buffers() -> Buffers:
    """Return the set of the running loop. Call it once per connection and keep it: the look-up costs.

    Raises RuntimeError when no loop runs.
    """
    loop = asyncio.get_running_loop()
    found = _sets.get(loop)
    if found is None:
        found = _sets[loop] = Buffers()
    return found
