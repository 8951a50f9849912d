"""Work in threads, so many pieces at a time for each key: one account's do not keep others waiting.

A piece that its caller does not wait for any more still has its turn until it is done, as threads cannot be
stopped: whoever comes, asks and leaves again and again gets no more than whoever waits.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Counts who works and who waits, by key. One loop's thread uses it."""

    def __init__(self, most: int) -> None:
        """Let so many pieces of one key run at a time."""
        self._most = most
        self._keys: dict[str, tuple[asyncio.Semaphore, list[object]]] = {}

    def __repr__(self) -> str:
        """Show how many keys have something to do."""
        return f"<Turns keys={len(self._keys)}>"

    async def run(self, key: str, work: Callable[[], T]) -> T:
        """Run this in a thread when it is its turn; return or raise what it does.

        Cancelled while it waits: it never runs. Cancelled later: it runs to its end, and nobody hears of it.
        """
        semaphore, claims = self._keys.setdefault(key, (asyncio.Semaphore(self._most), []))
        claim = object()
        claims.append(claim)

        def leave() -> None:
            claims.remove(claim)
            if not claims and self._keys.get(key) == (semaphore, claims):
                del self._keys[key]

        try:
            await semaphore.acquire()
        except asyncio.CancelledError:
            leave()
            raise
        running = asyncio.get_running_loop().run_in_executor(None, work)

        def done(future: asyncio.Future[T]) -> None:
            if not future.cancelled():
                future.exception()  # heard, even where nobody waits
            semaphore.release()
            leave()

        running.add_done_callback(done)
        return await asyncio.shield(running)
