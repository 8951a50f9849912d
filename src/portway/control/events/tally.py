"""What was counted of each destination, in a file, so that a restart does not begin at nothing.

It is written now and then and at the end; a kill loses what was counted since.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from portway.control import files
from portway.control.ports import Delivered

NAME: Final = "counts.json"

_log = logging.getLogger(__name__)


class Tally:
    """The file of one service. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder; it need not be there."""
        self._folder = folder
        self._written: dict[str, tuple[int, int, int]] = {}

    def __repr__(self) -> str:
        """Show how many destinations it knows."""
        return f"<Tally destinations={len(self._written)}>"

    async def load(self) -> dict[str, Delivered]:
        """Return what was counted by destination; nothing where there is no file that can be read."""
        try:
            data = (
                b"{}" if self._folder is None else await asyncio.to_thread((self._folder / NAME).read_bytes)
            )
            self._written = msgspec.json.decode(data, type=dict[str, tuple[int, int, int]])
        except FileNotFoundError:
            self._written = {}
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("what was counted of events cannot be read: %s", error)
        return {each: Delivered(*counts) for each, counts in self._written.items()}

    async def save(self, states: Mapping[str, Delivered]) -> None:
        """Write what is counted now, if it is not written already. A disk that is full is told of."""
        counts = {
            each: (state.delivered, state.failed, state.dropped)
            for each, state in states.items()
            if state.delivered or state.failed or state.dropped
        }
        if self._folder is None or counts == self._written:
            return
        try:
            await asyncio.to_thread(_write, self._folder, msgspec.json.encode(counts))
        except OSError as error:
            _log.warning("what was counted of events cannot be written: %s", error.strerror)
        else:
            self._written = counts


def since(state: Delivered, before: Delivered | None) -> Delivered:
    """Return how a destination fares with what was counted since then alone."""
    if before is None:
        return state
    return replace(
        state,
        delivered=state.delivered - before.delivered,
        failed=state.failed - before.failed,
        dropped=state.dropped - before.dropped,
    )


def _write(folder: Path, data: bytes) -> None:
    files.private_folder(folder)
    files.replace(folder / NAME, data)
