"""A reader that does not read: pipes filled to the brim, and emptied again."""

import os
from collections.abc import Iterator


def fill(writing: int) -> None:
    """Write until the descriptor takes no more."""
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)


def drain(reading: int) -> bytes:
    """Read all that is there."""
    os.set_blocking(reading, False)
    data = b""
    try:
        while part := os.read(reading, 1 << 20):
            data += part
    except BlockingIOError:
        pass
    return data


def pipe_ends() -> Iterator[tuple[int, int]]:
    """Give the two ends of a pipe, reading first, and close what a test has left open."""
    reading, writing = os.pipe()
    yield reading, writing
    for each in (reading, writing):
        try:
            os.close(each)
        except OSError:  # a test has closed it already
            pass
