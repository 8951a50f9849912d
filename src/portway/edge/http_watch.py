"""One slow clock for all HTTP visitors of a loop.

A timer for every read would cost more than the read. Instead a visitor only writes ``ticks = 0`` when
it makes progress, and once a second the watch calls its ``tick``, which counts up and decides. The
visitors are spread over ten slots, so that many idle ones do not stall the loop in one piece. The
clock runs only while somebody is watched.
"""

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

TICK: Final = 1.0
"""Seconds between two ticks of one visitor: limits are kept to within one of these."""

SLOTS: Final = 10

LOOK: Final = 0.02
"""Seconds between two looks at who is still arriving, once the service ends."""


class Watched(Protocol):
    """Who is ticked."""

    @property
    def arriving(self) -> bool:
        """It has still to say what it wants, or the rest of that."""
        ...

    def tick(self) -> None:
        """Note that another second has passed."""
        ...

    def drain(self) -> None:
        """End behind the running request, or now if there is none."""
        ...


class Watch:
    """The visitors of one loop."""

    __slots__ = ("_loop", "_slots", "_timer", "_turn")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch nobody yet."""
        self._loop = loop
        self._slots: list[set[Watched]] = [set() for _ in range(SLOTS)]
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show how many are watched."""
        return f"<Watch {len(self)} visitors>"

    def __len__(self) -> int:
        """Count the visitors."""
        return sum(map(len, self._slots))

    def add(self, visitor: Watched) -> int:
        """Tick a visitor from now on; return its slot, which ``discard`` asks for."""
        slot = self._turn
        self._slots[slot].add(visitor)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK / SLOTS, self._advance)
        return slot

    def discard(self, visitor: Watched, slot: int) -> None:
        """Tick it no more."""
        self._slots[slot].discard(visitor)

    def drain(self) -> None:
        """Let every visitor finish what is under way, and no more."""
        for slot in self._slots:
            for visitor in list(slot):
                visitor.drain()

    async def arrived(self, patience: float) -> None:
        """Wait until nobody is arriving any more, at most so many seconds."""
        deadline = self._loop.time() + patience
        while self._loop.time() < deadline and self._anybody_arrives():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK)

    def _anybody_arrives(self) -> bool:
        return any(each.arriving for slot in self._slots for each in slot)

    def _advance(self) -> None:
        self._turn = (self._turn + 1) % SLOTS
        for visitor in list(self._slots[self._turn]):
            visitor.tick()
        if any(self._slots):
            self._timer = self._loop.call_later(TICK / SLOTS, self._advance)
        else:
            self._timer = None


_watches: "WeakKeyDictionary[asyncio.AbstractEventLoop, Watch]" = WeakKeyDictionary()


def watch() -> Watch:
    """Return the running loop's watch. Raises RuntimeError when no loop runs."""
    loop = asyncio.get_running_loop()
    found = _watches.get(loop)
    if found is None:
        found = _watches[loop] = Watch(loop)
    return found
