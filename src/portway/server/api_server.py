"""The API's server: uvicorn in the controller, on a listening socket that the service keeps.

The service makes the socket once and gives it to every controller that it starts, so connections wait
in its backlog while a controller starts or is replaced. What this module imports takes a second; so the
controller imports it in a thread, once it has answered its first request (``api.py``).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Generator
from typing import Final

import uvicorn

from portway.control.api.app import make_app
from portway.control.service.context import Context

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept."""
FINISH: Final = 2
"""Seconds that requests under way may take when the service stops."""
REQUESTS_LIMIT: Final = 1000
"""Connections and requests at once; beyond that 503 is answered."""


async def serve(context: Context, listening: socket.socket) -> None:
    """Serve the API until cancelled; then let running requests finish. The socket is closed here."""
    logging.getLogger("uvicorn").setLevel(
        logging.WARNING
    )  # what it says of its start and end is for a console
    config = uvicorn.Config(
        make_app(context),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=FINISH,
        limit_concurrency=REQUESTS_LIMIT,
    )
    await _Server(config).serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Uvicorn's server as a guest in a process that is not its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: the controller ends with its channel."""
        yield

    async def main_loop(self) -> None:
        """Tick once a second until cancelled, then end in order."""
        counter = 0
        try:
            while not await self.on_tick(counter):
                counter += 10
                await asyncio.sleep(1)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
