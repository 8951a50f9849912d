"""Who is online now, as the data plane tells it: a list in memory that is never stored.

Everything is found by account, so that nobody can ask for another's. Lists are walked from the newest
identifier to the oldest, as in the store; keeping them sorted costs one binary search a change, and a
page costs its own length, however long the list is.

A control plane that has just started knows nothing until it has been told everything. It waits for
that (`LiveDirectory.known`) rather than say that nobody is online.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from portway.model.live import LiveEndpoint, LiveNote, LiveSession


class _Owned(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def account_id(self) -> str: ...


T = TypeVar("T", bound=_Owned)


class LiveList(Generic[T]):
    """Things of one kind, by account and identifier."""

    def __init__(self) -> None:
        """Begin empty."""
        self._all: dict[str, T] = {}
        self._ids: dict[str, list[str]] = {}

    def __len__(self) -> int:
        """Count them, of all accounts."""
        return len(self._all)

    def __repr__(self) -> str:
        """Show how many there are and of how many accounts."""
        return f"<LiveList {len(self._all)} of {len(self._ids)} accounts>"

    def put(self, thing: T) -> None:
        """Add it, or replace what had its identifier."""
        before = self._all.get(thing.id)
        if before is not None and before.account_id != thing.account_id:
            self.drop(thing.id)
            before = None
        self._all[thing.id] = thing
        if before is None:
            insort(self._ids.setdefault(thing.account_id, []), thing.id)

    def drop(self, thing_id: str) -> None:
        """Remove it; an unknown one is ignored."""
        thing = self._all.pop(thing_id, None)
        if thing is None:
            return
        ids = self._ids[thing.account_id]
        del ids[bisect_left(ids, thing_id)]
        if not ids:
            del self._ids[thing.account_id]

    def clear(self) -> None:
        """Remove everything."""
        self._all.clear()
        self._ids.clear()

    def get(self, account_id: str, thing_id: str) -> T | None:
        """Return it if it is this account's, else None."""
        thing = self._all.get(thing_id)
        return thing if thing is not None and thing.account_id == account_id else None

    def find(self, thing_id: str) -> T | None:
        """Return it whoever it belongs to: for checks, never for answers."""
        return self._all.get(thing_id)

    def older(self, account_id: str, before_id: str = "") -> Iterator[T]:
        """Walk an account's from the newest, or from the first that is older than ``before_id``.

        The list may change meanwhile: nothing is told twice, and what comes in meanwhile may be left out.
        """
        while ids := self._ids.get(account_id):
            place = bisect_left(ids, before_id) if before_id else len(ids)
            if not place:
                return
            before_id = ids[place - 1]
            yield self._all[before_id]


class LiveDirectory:
    """All sessions and endpoints of agents that are online. Used on the loop's thread only."""

    def __init__(self, *, known: bool = True) -> None:
        """Begin empty. ``known`` says whether that is the truth, or only that nothing was told yet."""
        self.sessions: LiveList[LiveSession] = LiveList()
        self.endpoints: LiveList[LiveEndpoint] = LiveList()
        self._by_url: dict[str, set[str]] = {}
        self._known = asyncio.Event()
        if known:
            self._known.set()

    def __repr__(self) -> str:
        """Show how much is online."""
        return f"<LiveDirectory sessions={len(self.sessions)} endpoints={len(self.endpoints)}>"

    def apply(self, note: LiveNote) -> None:
        """Take over what a note says."""
        if note.reset:
            self.sessions.clear()
            self.endpoints.clear()
            self._by_url.clear()
            self._known.clear()
        for each in note.gone:
            self._forget(each)
        for session in note.sessions:
            self.sessions.put(session)
        for endpoint in note.endpoints:
            self._forget(endpoint.id)
            self.endpoints.put(endpoint)
            self._by_url.setdefault(endpoint.url, set()).add(endpoint.id)
        if note.complete:
            self._known.set()

    def at(self, url: str) -> list[LiveEndpoint]:
        """Return the endpoints of agents that have this URL, whoever they belong to."""
        found = (self.endpoints.find(each) for each in sorted(self._by_url.get(url, ())))
        return [endpoint for endpoint in found if endpoint is not None]

    async def known(self, timeout: float) -> bool:
        """Wait until everything has been told, at most so many seconds; return whether it has."""
        try:
            async with asyncio.timeout(timeout):
                await self._known.wait()
        except TimeoutError:
            return False
        return True

    def _forget(self, gone: str) -> None:
        endpoint = self.endpoints.find(gone)
        if endpoint is None:
            self.sessions.drop(gone)
            return
        self.endpoints.drop(gone)
        at = self._by_url[endpoint.url]
        at.discard(gone)
        if not at:
            del self._by_url[endpoint.url]
