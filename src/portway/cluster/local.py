"""The claims of one process: the table, its clock, and the journal that survives a restart.

Deciding is instant and happens in memory; writing down follows through one *journal*, in which only
the latest state of each name counts and one write runs at a time. So a slow store delays the answer
to a bind, and never lets two sessions have one name. Whoever takes a new name waits until it is written,
and is refused when it cannot be; everything else is written again until the store takes it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from portway.cluster.table import Claim, Refusal, Table
from portway.errors import Error, PortwayError

if TYPE_CHECKING:
    from portway.model.url import Url

_log = logging.getLogger(__name__)

RETRY: Final = 1.0
"""Seconds until a state that could not be written is tried again."""


class Keeper(Protocol):
    """Who writes names down. Any PortwayError means *not now*."""

    async def reserve(self, url: str, account_id: str, session_key: str) -> None:
        """Write that a name is online."""
        ...

    async def hold(self, url: str, until: float) -> None:
        """Write that a name is kept until then, in wall-clock seconds."""
        ...

    async def release(self, url: str) -> None:
        """Write that a name is free."""
        ...


class LocalClaims:
    """Claims of a service that runs in one process. ``restore`` and ``open`` it, and ``run`` it as a task."""

    def __init__(
        self,
        table: Table,
        keeper: Keeper,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Join a table to its keeper; the clocks are inputs."""
        self._table = table
        self._keeper = keeper
        self._clock = clock
        self._wall = wall
        self._dirty: dict[str, Claim | None] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._changed = asyncio.Event()
        self._freed: list[Callable[[Url], None]] = []
        self._open = asyncio.Event()

    def __repr__(self) -> str:
        """Show the table and what is still to be written."""
        return f"<LocalClaims {self._table!r} unwritten={len(self._dirty)}>"

    def on_freed(self, callback: "Callable[[Url], None]") -> None:
        """Call back when a name is free again, for any reason."""
        self._freed.append(callback)

    def taken(self, url: "Url") -> bool:
        """Tell whether anybody holds this name, online or within grace."""
        self._sweep()
        return self._table.find(url) is not None

    def open(self) -> None:
        """Let claims through: everything that stood before has been restored."""
        self._open.set()

    def restore(self, url: "Url", account_id: str, holder: str) -> None:
        """Keep a name that stood when the service last stopped. Its grace is counted from now."""
        self._table.restore(url, account_id, holder, self._clock())
        self._write(url)

    async def claim(self, url: "Url", account_id: str, holder: str, *, pooled: bool, returning: bool) -> None:
        """Take a name and write it down; the contract is that of ``edge/ports.py``.

        Waits until the table is open: before that, a name may seem free that is kept for somebody.
        """
        await self._open.wait()
        self._sweep()
        before = self._table.find(url)
        shown = before.url if before is not None else url
        refusal = self._table.claim(url, account_id, holder, pooled=pooled, returning=returning)
        if refusal is not None:
            raise _error(refusal, url)
        if str(shown) != str(url):
            self._dirty[str(shown)] = None  # tls://x became https://x, or a public port changed
        if returning and before is not None:
            # It stands in the store already: an agent that comes back must not wait, or fail, for that.
            self._write(url)
            return
        written = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(str(url), []).append(written)
        self._write(url)
        try:
            await written
        except PortwayError as error:
            self.release(url, holder)
            raise Error("The service cannot write the endpoint down now; try again.", 128) from error

    def hold(self, url: "Url", holder: str) -> None:
        """Keep the name for the grace period: the holder's session is lost."""
        claim = self._table.hold(url, holder, self._clock())
        if claim is not None:
            self._write(claim.url)

    def release(self, url: "Url", holder: str) -> None:
        """Free the name at once, unless others of its pool still hold it."""
        claim = self._table.release(url, holder)
        if claim is not None:
            self._free(claim.url)

    def pool(self, url: "Url", holder: str, *, pooled: bool) -> None:
        """Change whether the holder shares the name."""
        self._table.share(url, holder, pooled=pooled)

    async def run(self) -> None:
        """Write the journal and end grace periods, until cancelled. Cancelled: unwritten changes are lost."""
        while True:
            self._changed.clear()
            self._sweep()
            while self._dirty:
                if not await self._write_next():
                    break
            await self._wait()

    async def flush(self) -> None:
        """Write what is still unwritten, once, for an orderly end."""
        while self._dirty and await self._write_next():
            pass

    async def _wait(self) -> None:
        """Sleep until something changes, a grace period ends, or a failed write is due again."""
        due = self._table.deadline()
        seconds = None if due is None else max(due - self._clock(), 0.0)
        if self._dirty:
            seconds = RETRY
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _write_next(self) -> bool:
        """Write the state of one name; False when the keeper cannot take it now."""
        url, claim = next(iter(self._dirty.items()))
        del self._dirty[url]
        waiting = self._waiting.pop(url, [])
        try:
            await self._write_one(url, claim)
        except asyncio.CancelledError:
            for future in waiting:  # they must not wait for ever
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001  the journal must outlive any fault of its keeper
            fault = error if isinstance(error, PortwayError) else Error("An internal error occurred.", 128)
            _log.warning("the state of %s is not written down: %s", url, fault, exc_info=fault is not error)
            _answer(waiting, fault)
            if not waiting:
                self._dirty.setdefault(url, claim)
                return False
            return True
        _answer(waiting, None)
        return True

    async def _write_one(self, url: str, claim: Claim | None) -> None:
        if claim is None:
            await self._keeper.release(url)
        elif claim.until is not None:
            await self._keeper.hold(url, self._wall() + claim.until - self._clock())
        else:
            await self._keeper.reserve(url, claim.account_id, claim.last)

    def _write(self, url: "Url") -> None:
        self._dirty[str(url)] = self._table.find(url)
        self._changed.set()

    def _free(self, url: "Url") -> None:
        self._dirty[str(url)] = None
        self._changed.set()
        for callback in self._freed:
            callback(url)

    def _sweep(self) -> None:
        for url in self._table.expire(self._clock()):
            self._free(url)


def _answer(waiting: list[asyncio.Future[None]], error: PortwayError | None) -> None:
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _error(refusal: Refusal, url: "Url") -> Error:
    """Say in the codes of agents why a name is refused."""
    if refusal is Refusal.OTHER_ACCOUNT:
        if url.scheme == "tcp":
            return Error(f"The address {url.hostport} belongs to another account.", 309)
        return Error(f"The domain {url.host} belongs to another account.", 320)
    if refusal is Refusal.LOST:
        return Error(f"The endpoint {str(url)!r} was taken over by a newer session of your account.", 334)
    return Error(
        f"The endpoint {str(url)!r} is already online. Stop it first, use another URL, "
        "or start all its endpoints with pooling enabled.",
        334,
    )
