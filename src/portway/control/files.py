"""Files that must never be seen half written, nor by others."""

import os
import secrets
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
_LOOK_BACK: Final = 4096


def private_folder(path: Path) -> None:
    """Make a folder and its parents; a folder made here is its owner's alone. Raises OSError."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def replace(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Write a file whole or not at all: a temporary name, then a rename. Raises OSError.

    The mode is set when the temporary file is made, so the content is never readable by more.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write(temporary, data, mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make(path: Path, data: bytes, mode: int = PRIVATE) -> bool:
    """Write a file whole unless it exists; tell whether it was written. Raises OSError.

    Of several processes that try at once, one wins, and all of them find its file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write(temporary, data, mode)
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def append_lines(path: Path, lines: bytes) -> None:
    """Append whole lines, and sync them; a new file is its owner's alone.

    What a kill or a full disk has left of a line is cut off first. Raises OSError: nothing was appended.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE)
    try:
        end = _cut_torn_line(descriptor)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def touch_private(path: Path) -> None:
    """Make sure that a file exists and only its owner may read it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        os.fchmod(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


def _cut_torn_line(descriptor: int) -> int:
    """Cut off what stands behind the last end of a line; return where that is."""
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _LOOK_BACK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return end


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask says
        file.write(data)
        file.flush()
        os.fsync(descriptor)
