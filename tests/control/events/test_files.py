"""Events in files."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.receivers import item

from portway.control.events.files import File
from portway.control.events.sending import Undelivered

NOW = 1_800_000_000.0


def _file(folder: Path, **settings: Any) -> File:
    return File(folder / "ac_1", {"path": "a/events.jsonl", **settings}, lambda: NOW)


@pytest.mark.row("EV-10")
async def test_lines_are_appended(tmp_path: Path) -> None:
    file = _file(tmp_path)
    await file.send([item(1), item(2)])
    await file.send([item(3)])
    written = tmp_path / "ac_1" / "a" / "events.jsonl"
    assert written.read_bytes().splitlines() == [item(number).body for number in (1, 2, 3)]
    assert written.stat().st_mode & 0o777 == 0o600


async def test_large_files_are_put_aside_and_some_are_kept(tmp_path: Path) -> None:
    file = _file(tmp_path, max_bytes=4096, keep=2)
    for number in range(5):
        await file.send([item(number, size=3000)])
    folder = tmp_path / "ac_1" / "a"
    assert sorted(each.name for each in folder.iterdir()) == [
        "events.jsonl", "events.jsonl.1", "events.jsonl.2",
    ]  # fmt: skip
    assert b"ev_4" in (folder / "events.jsonl").read_bytes()
    assert b"ev_3" in (folder / "events.jsonl.1").read_bytes()
    assert b"ev_2" in (folder / "events.jsonl.2").read_bytes()


async def test_old_files_are_put_aside(tmp_path: Path) -> None:
    clock = [NOW]
    file = File(tmp_path, {"path": "e", "max_age_seconds": 60, "keep": 0}, lambda: clock[0])
    await file.send([item(1)])
    clock[0] += 61
    await file.send([item(2)])
    assert (tmp_path / "e").read_bytes() == item(2).body + b"\n"
    assert not (tmp_path / "e.1").exists()


async def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "ac_1").write_text("in the way")
    with pytest.raises(Undelivered) as caught:
        await _file(tmp_path).send([item(1)])
    assert not caught.value.final
