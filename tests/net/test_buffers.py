"""The memory that connections share."""

import asyncio
import threading

import pytest

from portway.net.buffers import AREA, CIPHER, RAW, SPARE_AREAS, SPILL, Areas, Buffers, buffers


async def test_one_set_per_loop() -> None:
    """Connections of a loop share; two loops in two threads do not."""
    ours = buffers()
    assert buffers() is ours
    theirs: list[Buffers] = []

    async def look() -> None:
        theirs.append(buffers())

    thread = threading.Thread(target=lambda: asyncio.run(look()), daemon=True)
    thread.start()
    await asyncio.get_running_loop().run_in_executor(None, thread.join)
    assert theirs[0] is not ours
    assert (len(ours.raw), len(ours.parse), len(ours.cipher), len(ours.spill)) == (RAW, RAW, CIPHER, SPILL)


def test_no_loop_no_buffers() -> None:
    """Memory belongs to a loop."""
    with pytest.raises(RuntimeError):
        buffers()


def test_areas_come_back() -> None:
    """A given back area is the next one lent; surplus is left to the allocator."""
    areas = Areas()
    lent = [areas.borrow() for _ in range(SPARE_AREAS + 5)]
    assert all(len(area) == AREA for area in lent)
    assert areas.lent == len(lent)
    for area in lent:
        areas.give_back(area)
    assert areas.lent == 0
    again = [areas.borrow() for _ in range(SPARE_AREAS + 1)]
    assert {id(area) for area in again[:-1]} <= {id(area) for area in lent}
    assert repr(areas) == f"<Areas {SPARE_AREAS + 1} lent, 0 spare of {AREA} bytes>"
