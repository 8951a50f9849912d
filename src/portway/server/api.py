"""Starting the API in the controller when somebody calls it.

What the API is made of takes a second and forty megabytes to import. So that happens when the first
caller knocks, in a thread: agents do not wait for it, and a service whose API nobody uses never pays.
Callers wait meanwhile in the backlog of the socket, which the service keeps (``--api-fd``).
"""

import asyncio
import logging
import socket
from importlib import import_module
from types import ModuleType
from typing import Final

from portway.control.service.context import Context

RETRY: Final = 5.0
"""Seconds until an API that failed is started again; the rest of the controller goes on."""

_log = logging.getLogger(__name__)


async def keep_serving(context: Context, descriptor: int) -> None:
    """Serve the API on a listening socket, from the first caller on, until cancelled."""
    await _knocked(descriptor)
    while True:
        try:
            server = await asyncio.to_thread(_prepared)
            await server.serve(context, socket.socket(fileno=_duplicate(descriptor)))
        except Exception:  # noqa: BLE001 - agents must not go without authentication because the API fails; it is logged whole
            _log.exception("the API failed; it starts again in %g s", RETRY)
        await asyncio.sleep(RETRY)


async def _knocked(descriptor: int) -> None:
    """Wait until a caller is in the backlog."""
    loop = asyncio.get_running_loop()
    knock = loop.create_future()
    loop.add_reader(descriptor, lambda: knock.done() or knock.set_result(None))
    try:
        await knock
    finally:
        loop.remove_reader(descriptor)


def _prepared() -> ModuleType:
    """Import the server: what takes long, away from the event loop."""
    return import_module("portway.server.api_server")


def _duplicate(descriptor: int) -> int:
    """Return another descriptor of the socket: the server closes its own."""
    with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as twin:
        return twin.detach()
