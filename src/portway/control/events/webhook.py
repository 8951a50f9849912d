"""Events posted to a URL: signed, as an array, as lines, or one by one.

::

    Portway-Timestamp: 1800000000
    Portway-Signature: v1=<HMAC-SHA256 of "1800000000." and the body as it was sent>

A receiver refuses what is signed wrongly, and what was signed too long ago: then somebody sends it again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portway.control.events.outbox import BATCH_COUNT, Item
from portway.control.events.sending import TIMEOUT, Poster, Undelivered, post, signature, zipped

TYPES = {"array": "application/json", "single": "application/json", "ndjson": "application/x-ndjson"}


class Webhook:
    """Posts events to one URL."""

    def __init__(self, settings: Mapping[str, Any], poster: Poster, now: Callable[[], float]) -> None:
        """Take the settings of a webhook, secrets too."""
        self._settings = settings
        self._poster = poster
        self._now = now
        self._body: str = settings.get("body") or "array"
        self.batch_size: int = settings.get("batch_size") or BATCH_COUNT
        seconds = settings.get("batch_seconds")
        self.batch_seconds: float = 1.0 if seconds is None else seconds

    async def send(self, items: Sequence[Item]) -> None:
        """Post the events. Raises Undelivered."""
        if self._body != "single":
            lines, array = [item.body for item in items], self._body == "array"
            await self._post(b"[" + b",".join(lines) + b"]" if array else b"\n".join(lines) + b"\n")
            return
        for number, item in enumerate(items):
            try:
                await self._post(item.body)
            except Undelivered as error:
                raise Undelivered(error.message, final=error.final, done=number) from error

    async def _post(self, body: bytes) -> None:
        settings = self._settings
        headers: dict[str, str] = dict(settings.get("headers") or {})
        headers["content-type"] = TYPES[self._body]
        headers["user-agent"] = "portway-events"
        if settings.get("gzip"):
            body = zipped(body)
            headers["content-encoding"] = "gzip"
        timestamp = str(int(self._now()))
        headers["portway-timestamp"] = timestamp
        if secret := settings.get("secret"):
            headers["portway-signature"] = f"v1={signature(secret, timestamp, body)}"
        await post(self._poster, settings["url"], headers, body, settings.get("timeout_seconds") or TIMEOUT)
