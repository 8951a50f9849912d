"""Events in a file of the service's folder, one JSON object a line; old files are kept for a while.

``events.jsonl`` is written to; when it is too large or too old it becomes ``events.jsonl.1``, and so on. Each
account has a folder of its own, which no path leads out of (``model/event_target.py``).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from portway.control.events.outbox import Item
from portway.control.events.sending import Undelivered
from portway.control.files import append_lines

MAX_BYTES: Final = 64 << 20
KEEP: Final = 5


class File:
    """Appends events to one file."""

    batch_size = 500
    batch_seconds = 1.0

    def __init__(self, folder: Path, settings: Mapping[str, Any], now: Callable[[], float]) -> None:
        """Take the folder of the account, and settings."""
        self._path = folder / settings["path"]
        self._now = now
        self._max_bytes: int = settings.get("max_bytes") or MAX_BYTES
        self._max_age: int = settings.get("max_age_seconds") or 0
        keep = settings.get("keep")
        self._keep: int = KEEP if keep is None else keep
        self._began = 0.0

    async def send(self, items: Sequence[Item]) -> None:
        """Append the events, and make sure that they are on the disk. Raises Undelivered."""
        try:
            await asyncio.to_thread(self._append, b"".join(item.body + b"\n" for item in items))
        except OSError as error:
            raise Undelivered(f"The file cannot be written: {error.strerror}") from error

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(len(lines))
        append_lines(self._path, lines)

    def _make_room(self, more: int) -> None:
        """Begin another file if this one has had its time, or has no room for these bytes."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._began = self._now()
            return
        self._began = self._began or state.st_mtime
        old = self._max_age and self._now() - self._began >= self._max_age
        if not old and (not state.st_size or state.st_size + more <= self._max_bytes):
            return
        self._began = self._now()
        if not self._keep:
            self._path.unlink()
            return
        for number in range(self._keep - 1, 0, -1):
            former = self._former(number)
            if former.exists():
                former.replace(self._former(number + 1))
        self._path.replace(self._former(1))

    def _former(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
