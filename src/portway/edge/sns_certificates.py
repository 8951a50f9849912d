"""The certificates that sign messages of Amazon SNS: fetched from Amazon alone, and kept.

The URL stands in a message that is not verified yet, so it is held against Amazon's names first, is fetched
over TLS, and redirects are not followed. Failures are remembered for a moment: a flood of messages that
name certificates which do not exist makes no flood of ours.
"""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from portway.edge.policy_fetch import FetchFailed
from portway.net.web_client import WebFailure, WebRequest
from portway.policy.webhook_schemes import is_sns_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portway.edge.policy_fetch import Asked
    from portway.net.web_client import WebClient

KEPT: Final = 100
"""Certificates that are kept; the oldest goes."""
AT_ONCE: Final = 4
"""Certificates that are fetched at a time."""
FRESH: Final = 86_400.0
"""Seconds for which one is used without asking."""
FAILED: Final = 10.0
"""Seconds until a fetch that failed is tried again."""
SIZE: Final = 65_536
TIMEOUT: Final = 10.0
NOT_VERIFIED: Final = 3204


class SnsCertificates:
    """The certificates of one process."""

    def __init__(self, client: "WebClient", now: "Callable[[], float]") -> None:
        """Have none yet."""
        self._client = client
        self._now = now
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._failed: OrderedDict[str, float] = OrderedDict()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def __repr__(self) -> str:
        """Show how many are kept."""
        return f"<SnsCertificates {len(self._kept)}>"

    async def fetch(self, _asked: "Asked", arguments: "Mapping[str, object]") -> object:
        """The kind ``sns certificate``: return a certificate as PEM. Raises FetchFailed."""
        url = str(arguments["url"])
        if not is_sns_certificate(url):
            raise FetchFailed(NOT_VERIFIED, "the certificate is not one of Amazon's", 403)
        pem = self._known(url)
        if pem is None:
            async with self._turns:
                pem = self._known(url)
                if pem is None:
                    pem = await self._ask(url)
                    self._note(url, pem)
        if not pem:
            raise FetchFailed(NOT_VERIFIED, "the certificate cannot be had", 403)
        return pem

    def _known(self, url: str) -> bytes | None:
        """Return a certificate that is fresh, b"" for one that failed a moment ago."""
        now = self._now()
        until, pem = self._kept.get(url, (0.0, b""))
        if now < until:
            return pem
        return b"" if now < self._failed.get(url, 0.0) else None

    def _note(self, url: str, pem: bytes) -> None:
        """Keep what was found. Failures are kept apart: names that are invented push nothing out."""
        if pem:
            self._kept[url] = self._now() + FRESH, pem
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._failed[url] = self._now() + FAILED
            if len(self._failed) > KEPT:
                self._failed.popitem(last=False)

    async def _ask(self, url: str) -> bytes:
        try:
            answer = await self._client.request(WebRequest("GET", url, timeout=TIMEOUT, body_limit=SIZE))
        except WebFailure:
            return b""
        return answer.body if answer.status == 200 else b""
