"""Traffic events on disk: what survives, what goes first, what a full disk costs."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.kit.receivers import item

from portway.control.events import spool as spool_module
from portway.control.events.outbox import Item
from portway.control.events.spool import DONE, SPOOL_AGE, Spool

NOW = 1_800_000_000.0


def _now() -> float:
    return NOW


def _ids(found: Sequence[Item]) -> list[str]:
    return [each.id for each in found]


def _segments(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.jsonl"))


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.glob("*.jsonl"))


def _damage(folder: Path) -> None:
    """Break the first line of the only segment, tear the last one, and empty the file of what is done."""
    (path,) = folder.glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'{"id"', b'["id"', 1) + whole[:20])
    (folder / DONE).write_text("")


async def test_what_was_kept_is_there_after_a_kill_and_goes_when_it_has_arrived(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "ed", _now)
    await spool.keep([item(number) for number in range(5)])
    first, second, *_ = await spool.waiting(0, 2)
    assert (first.id, first.body, first.seq, first.spooled) == ("ev_0", item(0).body, 1, True)
    await spool.arrived([first.seq, second.seq])
    again = Spool(tmp_path / "ed", _now)
    assert _ids(await again.waiting(0, 10)) == ["ev_2", "ev_3", "ev_4"]
    assert again.left == 3
    assert _ids(await again.waiting(4, 10)) == ["ev_4"]
    await again.keep([item(5)])
    assert _ids(await again.waiting(5, 10)) == ["ev_5"], "reading goes on where it was"
    assert _ids(await again.waiting(2, 10)) == ["ev_2", "ev_3", "ev_4", "ev_5"], (
        "and from before, after a failure"
    )
    await again.arrived([6])
    assert (again.left, _segments(tmp_path / "ed")) == (0, [])
    await again.keep([item(6)])
    assert [each.seq for each in await again.waiting(6, 10)] == [7], "numbers go on"
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "ed").iterdir()} == {0o600}


async def test_without_room_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, _now, limit=5000, segment_limit=1000)
    for number in range(40):
        await spool.keep([item(number, size=200)])
    found = await spool.waiting(0, 100)
    assert _size(tmp_path) <= 5000
    assert _ids(found) == [f"ev_{number}" for number in range(40 - len(found), 40)]
    assert spool.dropped == 40 - len(found) == 40 - spool.left > 0
    assert len(_segments(tmp_path)) > 2
    await spool.arrived([found[-1].seq])
    assert _segments(tmp_path) == []


async def test_what_is_a_day_old_is_given_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path, _now)
    await spool.keep([item(1, at=NOW - SPOOL_AGE - 1), item(2, at=NOW - SPOOL_AGE + 1)])
    assert _ids(await spool.waiting(0, 10)) == ["ev_2"]
    assert (spool.dropped, spool.left) == (1, 1)


async def test_a_torn_line_and_a_broken_one_are_left_out(tmp_path: Path) -> None:
    await Spool(tmp_path, _now).keep([item(1), item(2)])
    _damage(tmp_path)
    spool = Spool(tmp_path, _now)
    await spool.keep([item(3)])
    assert _ids(await spool.waiting(0, 10)) == ["ev_2", "ev_3"]
    assert spool.dropped == 1


async def test_a_full_disk_takes_none_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, _now)
    await spool.keep([item(1)])
    fsync: Callable[[Any], None] = os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        await spool.keep([item(2)])
    monkeypatch.setattr(os, "fsync", fsync)
    await spool.keep([item(3)])
    assert _ids(await spool.waiting(0, 10)) == ["ev_1", "ev_3"]
    assert _ids(await Spool(tmp_path, _now).waiting(0, 10)) == ["ev_1", "ev_3"]
    monkeypatch.setattr(spool_module, "SPARE_BYTES", 1 << 60)
    with pytest.raises(OSError, match="No space"):
        await spool.keep([item(4)])


async def test_a_destination_that_is_gone_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "ed", _now)
    await spool.keep([item(1)])
    await spool.remove()
    assert not (tmp_path / "ed").exists()
    assert await spool.waiting(0, 10) == []
