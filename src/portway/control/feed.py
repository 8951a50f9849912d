"""The bell that a write rings, so that whoever follows the changes reads them at once.

The follower lives in the same process as the bell. What other processes write, such as
``portway admin`` or another service on the same store, rings nothing here; it is found by looking
from time to time.
"""

import asyncio
import contextlib


class Feed:
    """One store's bell. The store rings it after each commit that noted a change."""

    def __init__(self) -> None:
        """Start silent."""
        self._rung = asyncio.Event()

    def changed(self) -> None:
        """Ring: something that was noted as a change is committed."""
        self._rung.set()

    async def wait(self, timeout: float) -> None:
        """Wait until the bell has rung since the last wait, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._rung.wait()
        self._rung.clear()
