"""What a flag or a configuration names by an address: fetched once, within a time.

urllib blocks, so it runs in a thread. The thread is its own and nobody waits for it: at its end the loop
waits for those of its executor, so a slow server could hold a program that is told to end.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final, cast

PIECE: Final = 65_536
"""Bytes that are read at a time."""


async def fetched(url: str, limit: int, timeout: float) -> bytes:
    """Return what is at an http or https URL, at most ``limit`` bytes.

    ``timeout``: seconds for all of it. Raises ValueError for an answer that is none or is too large, and
    OSError. When cancelled, the thread goes on until then at most, and nobody hears of it.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[bytes] = loop.create_future()

    def tell(settle: Callable[[], None]) -> None:
        def if_wanted() -> None:
            if not result.done():
                settle()

        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(if_wanted)

    def work() -> None:
        try:
            found = _fetched(url, limit, timeout)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            problem = error
            tell(lambda: result.set_exception(problem))
        else:
            tell(lambda: result.set_result(found))

    threading.Thread(target=work, name=f"fetch {url}", daemon=True).start()
    return await result


def _fetched(url: str, limit: int, timeout: float) -> bytes:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    deadline = time.monotonic() + timeout
    data = bytearray()
    try:
        with urlopen(url, timeout=timeout) as answer:  # noqa: S310 - the caller looks at the scheme
            while len(data) <= limit and (piece := cast("bytes", answer.read1(PIECE))):
                data += piece
                if time.monotonic() > deadline:
                    raise TimeoutError(f"it does not come within {timeout:g} s")
    except HTTPError as error:
        error.close()  # it holds the connection
        raise ValueError(f"the answer is {error.code}") from None
    if len(data) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return bytes(data)
