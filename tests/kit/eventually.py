"""Waiting for what another process will do: the one place in the tests that lets time pass.

Inside one process tests wait for events and pass the time as an argument; a foreign process offers
neither, so its state is looked at again and again, shortly, until a deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02  # seconds between two looks
ATTEMPT = 3.0  # seconds for one look that awaits


def eventually(look: Callable[[], T], what: str, *, timeout: float = 10.0) -> T:
    """Return the first true value of ``look``; fail, naming ``what``, after ``timeout`` seconds.

    What ``look`` raises counts as "not yet" while it is an OSError or an AssertionError.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            value = look()
        except (OSError, AssertionError) as error:
            last = error
        else:
            if value:
                return value
            last = value
        time.sleep(PAUSE)
    raise AssertionError(f"not within {timeout:g} s: {what} (last: {last!r})")


async def eventually_async(look: Callable[[], Awaitable[T]], what: str, *, timeout: float = 10.0) -> T:
    """Do the same on the event loop; each look gets ATTEMPT seconds, and a slow one counts as not yet."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            value = await asyncio.wait_for(look(), ATTEMPT)
        except (OSError, AssertionError, EOFError) as error:
            last = error
        else:
            if value:
                return value
            last = value
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"not within {timeout:g} s: {what} (last: {last!r})")


def let_pass(seconds: float) -> None:
    """Let time pass where that is what is tested: in tests marked `long` only."""
    time.sleep(seconds)
