"""Reading what is online: sessions, tunnels and endpoints begin with this."""

from typing import Final

from portway.control.live import LiveDirectory
from portway.control.service.context import Context
from portway.errors import Error

PATIENCE: Final = 3.0
"""Seconds for a control plane that has just started to be told what is online."""


async def directory(context: Context) -> LiveDirectory:
    """Return the directory once it is true. Raises Error 128 when that takes too long."""
    if not await context.live.known(PATIENCE):
        raise Error("What is online is not known yet; try again in a moment.", 128)
    return context.live
