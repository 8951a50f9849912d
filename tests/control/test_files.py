"""Files that nobody sees half written."""

import errno
import os
import stat
from pathlib import Path

import pytest

from portway.control import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o077], autouse=True)
def umask(request: pytest.FixtureRequest):
    old = os.umask(request.param)
    yield
    os.umask(old)


@pytest.mark.parametrize("wanted", [files.PRIVATE, files.PUBLIC])
def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path, wanted: int) -> None:
    path = tmp_path / "a.pem"
    path.write_text("old")
    path.chmod(0o777)
    files.replace(path, b"new", wanted)
    assert path.read_bytes() == b"new"
    assert mode(path) == wanted
    assert [each.name for each in tmp_path.iterdir()] == ["a.pem"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pem"
    path.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.replace(path, b"new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.pem"]


def test_a_folder_made_here_is_private_and_an_old_one_stays_as_it_is(tmp_path: Path) -> None:
    made = tmp_path / "deep" / "portway"
    files.private_folder(made)
    assert mode(made) == 0o700
    made.chmod(0o750)
    files.private_folder(made)
    assert mode(made) == 0o750


def test_touching_makes_a_file_private_and_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "portway.db"
    files.touch_private(path)
    assert mode(path) == 0o600
    path.write_text("content")
    path.chmod(0o644)
    files.touch_private(path)
    assert mode(path) == 0o600
    assert path.read_text() == "content"


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert files.make(path, b"first")
    assert not files.make(path, b"second")
    assert path.read_bytes() == b"first"
    assert mode(path) == files.PRIVATE
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_lines_are_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    files.append_lines(path, b"one\n")
    path.write_bytes(path.read_bytes() + b"torn" * 3000)
    files.append_lines(path, b"two\nthree\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.append_lines(path, b"four\n")
    monkeypatch.undo()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"no end")
    files.append_lines(path, b"one\n")
    assert path.read_bytes() == b"one\n"
