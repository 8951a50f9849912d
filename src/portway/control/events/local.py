"""Events on standard output, and in the service's log."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from portway.control.events.outbox import Item
from portway.control.events.sending import TIMEOUT, Poster, Printer, Undelivered, post

_log = logging.getLogger(__name__)


class Stdout:
    """Writes one JSON object a line."""

    batch_size = 500
    batch_seconds = 0.0

    def __init__(self, printer: Printer) -> None:
        """Take where lines go."""
        self._printer = printer

    async def send(self, items: Sequence[Item]) -> None:
        """Write the events. Nobody knows whether somebody reads them."""
        self._printer.write(b"".join(item.body + b"\n" for item in items))


class Debug:
    """Writes each event to the log, posts each to a URL, or both."""

    batch_size = 50
    batch_seconds = 0.0

    def __init__(self, settings: Mapping[str, Any], poster: Poster) -> None:
        """Take the settings. Without a URL everything goes to the log."""
        self._url: str = settings.get("callback_url") or ""
        self._log: bool = bool(settings.get("log")) or not self._url
        self._poster = poster

    async def send(self, items: Sequence[Item]) -> None:
        """Send the events one by one. Raises Undelivered."""
        for number, item in enumerate(items):
            if self._url:
                headers = {"content-type": "application/json", "user-agent": "portway-events"}
                try:
                    await post(self._poster, self._url, headers, item.body, TIMEOUT)
                except Undelivered as error:
                    raise Undelivered(error.message, final=error.final, done=number) from error
            if self._log:
                fields = {"type": item.kind, "account": item.account_id, "body": item.body.decode()}
                _log.info("event %s", item.id, extra={"fields": fields})
