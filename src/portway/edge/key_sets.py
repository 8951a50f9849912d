"""Key sets (JWKS) that policies name: fetched when they are needed, and kept for a while.

A set is fetched once for all who wait for it, and again when it is older than a quarter of an hour, or when a
token names a key that is not in it, but that no more often than every half minute: otherwise tokens with
invented names would make us ask for every one of them. While an issuer cannot be reached, its last keys hold
for a day; one that never answered is asked again after ten seconds, not before.
"""

import asyncio
import logging
from collections import OrderedDict
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from portway.edge.policy_fetch import FetchFailed
from portway.net.web_client import WebFailure, WebRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portway.edge.policy_fetch import Asked
    from portway.net.web_client import WebClient
    from portway.policy.jwt import Key

_log = logging.getLogger(__name__)

FRESH: Final = 900.0
"""Seconds for which a set is used without asking."""
STALE: Final = 86_400.0
"""Seconds for which it is used while its issuer cannot be reached."""
AGAIN: Final = 30.0
"""Seconds between two fetches because of keys that are not in the set."""
FAILED: Final = 10.0
"""Seconds until a fetch that failed is tried again."""
SETS: Final = 1000
"""Sets that are kept; those not used for longest go."""
SIZE: Final = 262_144
"""Bytes of a set."""
TIMEOUT: Final = 10.0
"""Seconds for one fetch."""
REDIRECTS: Final = 3

NO_KEYS: Final = 3422


class _Set:
    """What is known of one URL."""

    __slots__ = ("asked", "failed", "keys", "lock", "read")

    def __init__(self) -> None:
        self.keys: list[Key] | None = None
        self.read = float("-inf")
        self.asked = float("-inf")
        self.failed = False
        self.lock = asyncio.Lock()

    def has(self, kids: "tuple[str, ...]") -> bool:
        known = {key.kid for key in self.keys or ()}
        return all(not kid or kid in known for kid in kids)


class KeySets:
    """The key sets of all policies of an edge."""

    def __init__(self, client: "WebClient", now: "Callable[[], float]") -> None:
        """Know nothing yet."""
        self._client = client
        self._now = now
        self._sets: OrderedDict[str, _Set] = OrderedDict()

    def __repr__(self) -> str:
        """Show how many are known."""
        return f"<KeySets {len(self._sets)}>"

    async def fetch(self, asked: "Asked", arguments: "Mapping[str, object]") -> object:
        """The kind ``keys``: return the keys of some URLs. Raises FetchFailed when none can be had."""
        urls = cast("tuple[str, ...]", arguments["urls"])
        kids = cast("tuple[str, ...]", arguments["kids"])
        found: list[Key] = []
        known = False
        for url in urls:
            keys = await self.keys(url, kids)
            known = known or keys is not None
            found += keys or []
            if kids and all(kid and any(key.kid == kid for key in found) for kid in kids):
                break  # those that follow need not be asked
        if not known:
            raise FetchFailed(NO_KEYS, "The keys of the issuer cannot be had.", 401)
        return found

    async def keys(self, url: str, kids: "tuple[str, ...]" = ()) -> "list[Key] | None":
        """Return the keys of one URL, asked for again if one of these names is not among them."""
        known = self._sets.get(url)
        if known is None:
            known = self._sets[url] = _Set()
            if len(self._sets) > SETS:
                self._sets.popitem(last=False)
        self._sets.move_to_end(url)
        refreshing = known.lock.locked() and known.keys is not None and known.has(kids)
        if not refreshing and self._wants(known, kids):
            async with known.lock:
                if self._wants(known, kids):
                    await self._read(url, known)
        if known.keys is not None and self._now() - known.read > STALE:
            return None
        return known.keys

    def _wants(self, known: _Set, kids: "tuple[str, ...]") -> bool:
        since = self._now() - known.asked
        if known.failed:
            return since >= FAILED
        return since >= FRESH or (since >= AGAIN and not known.has(kids))

    async def _read(self, url: str, known: _Set) -> None:
        keys = await self._ask(url)
        known.asked, known.failed = self._now(), keys is None
        if keys is not None:
            known.keys, known.read = keys, known.asked

    async def _ask(self, url: str) -> "list[Key] | None":
        request = WebRequest(
            "GET",
            url,
            [("Accept", "application/json")],
            timeout=TIMEOUT,
            body_limit=SIZE,
            redirects=REDIRECTS,
        )
        try:
            answer = await self._client.request(request)
        except WebFailure as error:
            _log.warning("the key set %s cannot be had: %s", url.partition("?")[0], error.message)
            return None
        if answer.status != 200:
            _log.warning("the key set %s cannot be had: status %d", url.partition("?")[0], answer.status)
            return None
        try:
            return await asyncio.to_thread(_keys, answer.body)
        except ValueError as error:
            _log.warning("the key set %s cannot be read: %s", url.partition("?")[0], error)
            return None


def _keys(data: bytes) -> "list[Key]":
    """Read a set in a thread: the library of keys takes a fifth of a second to import."""
    import_module("joserfc.jws")
    from portway.policy.jwt import read_keys

    return read_keys(data)
