"""Ports of TCP endpoints that stand by the view: of edges and of cloud endpoints.

Nobody waits for such a port, and nobody can be told that it cannot be had: what another program has is tried
again for as long as the endpoint is online. One that has gone before its port was opened leaves none open.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from portway.errors import ConfigError

if TYPE_CHECKING:
    from portway.edge.ports import Claims, Ports
    from portway.edge.registry import Registry
    from portway.model.url import Url
    from portway.net.tasks import Tasks

RETRY: Final = 5.0
"""Seconds until a port that could not be opened is tried again."""

_log = logging.getLogger(__name__)


class StandingPorts:
    """Opens and closes them."""

    def __init__(self, ports: "Ports", registry: "Registry", claims: "Claims", tasks: "Tasks") -> None:
        """Open in tasks of these."""
        self._ports = ports
        self._registry = registry
        self._claims = claims
        self._tasks = tasks

    def open(self, url: "Url", owner: str, wanted: Callable[[], bool]) -> None:
        """Begin to listen at an address of ``owner``, for as long as it is wanted."""
        self._tasks.start(self._open(url, owner, wanted), name=f"port of {owner}")

    def close(self, url: "Url") -> None:
        """Stop listening at an address, if nobody has it any more."""
        if self._registry.find("tcp", "", url.port) is None and not self._claims.taken(url):
            self._ports.close(url.port)

    async def _open(self, url: "Url", owner: str, wanted: Callable[[], bool]) -> None:
        said = False
        while wanted():
            try:
                await self._ports.open(url.port)
                break
            except ConfigError as error:
                if not said:
                    _log.warning("the port of %s cannot be opened yet: %s", owner, error)
                said = True
                await asyncio.sleep(RETRY)
        self.close(url)  # it may have gone meanwhile
