"""The traffic events for one durable destination, on disk until they have arrived.

A folder of segments, each one event a line; a segment is named after the number of its first event, and
``done`` holds the number of the last event that is done with. Events are appended and synced before the data
plane hears that they were taken, so from then on they survive kills and power cuts. They are read again in
order, and a segment goes when all of its events are done with. ``done`` is not synced: after a power cut
some events may go twice, none is skipped. A last line that a power cut has torn is cut off; nobody was told
that it was taken.

There is room for so many bytes; beyond them the oldest segment goes, and what had not arrived of it is
counted as dropped. Numbers go on where they were as long as the folder is there. Files are read and written
in threads, one at a time.
"""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from portway.control import files
from portway.control.events.outbox import BATCH_BYTES, Item

SPOOL_BYTES: Final = 64 << 20
"""Bytes for one destination; beyond them the oldest events are given up."""
SEGMENT_BYTES: Final = 4 << 20
"""Size at which another segment is begun."""
SPARE_BYTES: Final = 16 << 20
"""Bytes of the disk that are left for others: the store is on it too."""
SPOOL_AGE: Final = 86_400.0
"""Seconds after which an event that could not be sent is given up."""

DONE: Final = "done"
_SUFFIX: Final = ".jsonl"
_DIGITS: Final = 20

T = TypeVar("T")


class _Line(msgspec.Struct):
    id: str
    kind: str
    account_id: str
    at: float
    body: msgspec.Raw


class _Segment(msgspec.Struct):
    """The events ``first`` to ``first + count - 1``."""

    path: Path
    first: int
    count: int
    size: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class Spool:
    """A journal of one destination, of files."""

    def __init__(
        self,
        folder: Path,
        now: Callable[[], float],
        limit: int = SPOOL_BYTES,
        segment_limit: int = SEGMENT_BYTES,
    ) -> None:
        """Take the folder, which need not be there. Nothing is read before the first call."""
        self._folder = folder
        self._now = now
        self._limits = limit, segment_limit
        self._segments: list[_Segment] = []
        self._done = 0
        self._opened = False
        self._place = (0, 0)
        """The number of the event that was read last, and where in its segment it ends."""
        self._turn = asyncio.Lock()
        self._files = threading.Lock()  # who waits for a thread may be cancelled; the thread goes on
        self.left = 0
        """Events that have not arrived."""
        self.dropped = 0
        """Events that were given up: too old, or too many."""

    def __repr__(self) -> str:
        """Show how much waits."""
        return f"<Spool {self._folder.name} left={self.left} dropped={self.dropped}>"

    async def keep(self, items: Sequence[Item]) -> None:
        """Write events down; when this returns, they are on the disk. Raises OSError: none of them is."""
        await self._carry_out(lambda: self._append(items))

    async def waiting(self, after: int, limit: int) -> list[Item]:
        """Return the next events beyond a number, at least one if there is any. Raises OSError."""
        return await self._carry_out(lambda: self._read(after, limit))

    async def arrived(self, seqs: Sequence[int]) -> None:
        """All events up to the last of these numbers are done with. Raises OSError."""
        await self._carry_out(lambda: self._forget(max(seqs)))

    async def remove(self) -> None:
        """Forget everything: the destination is gone."""
        async with self._turn:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._opened, self._segments, self._place, self.left = False, [], (0, 0), 0

    async def _carry_out(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(self._with_files, work)

    # -- in a thread

    def _with_files(self, work: Callable[[], T]) -> T:
        with self._files:
            if not self._opened:
                self._open()
                self._opened = True
            try:
                return work()
            finally:
                first = self._segments[0].first if self._segments else 1
                newest = self._segments[-1].last if self._segments else 0
                self.left = max(0, newest - max(self._done, first - 1))

    def _open(self) -> None:
        try:
            self._done = int((self._folder / DONE).read_bytes())
        except (FileNotFoundError, ValueError):
            self._done = 0
        self._segments = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(path, whole)
            if whole:
                first, count = int(path.stem), data.count(b"\n")
                self._segments.append(_Segment(path, first, count, whole))
            else:
                path.unlink()

    def _append(self, items: Sequence[Item]) -> None:
        lines = b"".join(_written(item) for item in items)
        segment = self._with_room(len(lines))
        try:
            _check_disk(self._folder, len(lines))
            files.append_lines(segment.path, lines)
        except OSError:
            if not segment.count:
                self._segments.remove(segment)
                segment.path.unlink(missing_ok=True)
            raise
        segment.count += len(items)
        segment.size += len(lines)

    def _with_room(self, more: int) -> _Segment:
        """Return the segment to append to, after the oldest have gone if they must."""
        limit, segment_limit = self._limits
        while self._segments and sum(each.size for each in self._segments) + more > limit:
            oldest = self._segments.pop(0)
            oldest.path.unlink(missing_ok=True)
            self.dropped += max(0, oldest.last - max(self._done, oldest.first - 1))
            self._put_done(max(self._done, oldest.last))
        if self._segments and self._segments[-1].size < segment_limit:
            return self._segments[-1]
        if not self._segments:
            files.private_folder(self._folder)
        first = self._segments[-1].last + 1 if self._segments else self._done + 1
        made = _Segment(self._folder / f"{first:0{_DIGITS}}{_SUFFIX}", first, 0, 0)
        self._segments.append(made)
        return made

    def _read(self, after: int, limit: int) -> list[Item]:
        found: list[Item] = []
        after, size, too_old = max(after, self._done), 0, self._now() - SPOOL_AGE
        for segment in [each for each in self._segments if each.last > after]:
            number, offset = self._place if self._place[0] in range(segment.first, after + 1) else (0, 0)
            number = number or segment.first - 1
            with segment.path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if len(found) >= limit or (found and size + len(line) > BATCH_BYTES):
                        return found
                    number, offset = number + 1, offset + len(line)
                    self._place = number, offset
                    if number <= after:
                        continue
                    item = _item(line, number)
                    if item is not None and item.at >= too_old:
                        found.append(item)
                        size += len(line)
                        continue
                    self.dropped += 1
                    if not found:
                        self._forget(number)
        return found

    def _forget(self, number: int) -> None:
        if number <= self._done:
            return
        self._put_done(number)
        while self._segments and self._segments[0].last <= number:
            self._segments.pop(0).path.unlink(missing_ok=True)

    def _put_done(self, number: int) -> None:
        """Write it over what was there: that takes no more room on a full disk."""
        self._done = number
        descriptor = os.open(self._folder / DONE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE)
        try:
            os.pwrite(descriptor, b"%0*d\n" % (_DIGITS, number), 0)
        finally:
            os.close(descriptor)


def _check_disk(folder: Path, more: int) -> None:
    """Leave some of the disk to others. Raises OSError."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < SPARE_BYTES + more:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _written(item: Item) -> bytes:
    line = _Line(item.id, item.kind, item.account_id, item.at, msgspec.Raw(item.body))
    return msgspec.json.encode(line) + b"\n"


def _item(line: bytes, number: int) -> Item | None:
    """Read an event; None if somebody else has been at the file."""
    try:
        read = msgspec.json.decode(line, type=_Line)
    except msgspec.MsgspecError:
        return None
    return Item(read.id, read.kind, read.account_id, read.at, bytes(read.body), number, spooled=True)
