"""Events for Datadog's intake of logs: one log each, coded with gzip."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from portway.control.events.outbox import Item
from portway.control.events.sending import TIMEOUT, Poster, post, zipped

DEFAULT_SITE: Final = "datadoghq.com"
PATH: Final = "/api/v2/logs"


class Datadog:
    """Posts events to one site. A site that is a URL is posted to as it is, but for a path if it has none."""

    batch_size = 500
    batch_seconds = 1.0

    def __init__(self, settings: Mapping[str, Any], poster: Poster) -> None:
        """Take the settings, the key too."""
        self._settings = settings
        self._poster = poster

    @property
    def url(self) -> str:
        """Where logs go."""
        site: str = self._settings.get("ddsite") or DEFAULT_SITE
        if not site.startswith(("http://", "https://")):
            return f"https://http-intake.logs.{site}{PATH}"
        bare = site.rstrip("/")
        return site if bare.count("/") > 2 else f"{bare}{PATH}"

    async def send(self, items: Sequence[Item]) -> None:
        """Post the events. Raises Undelivered."""
        settings = self._settings
        common = {
            "ddsource": "portway",
            "service": settings.get("service") or "portway",
            "ddtags": settings.get("ddtags") or "",
        }
        logs = [common | {"message": item.body.decode()} for item in items]
        headers = {
            "dd-api-key": settings["api_key"],
            "content-type": "application/json",
            "content-encoding": "gzip",
            "user-agent": "portway-events",
        }
        await post(self._poster, self.url, headers, zipped(json.dumps(logs).encode()), TIMEOUT)
