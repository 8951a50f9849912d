"""Private keys at rest."""

import stat
from pathlib import Path

import pytest

from portway.control.certificates.seal import KEY_FILE, KEY_LENGTH, Seal
from portway.errors import ConfigError

SECRET = b"-----BEGIN PRIVATE KEY----- and what follows"


def test_what_is_sealed_can_be_opened_and_is_not_seen(tmp_path: Path) -> None:
    seal = Seal(tmp_path / KEY_FILE)
    sealed = seal.seal(SECRET, "cert_1")
    assert SECRET[:8] not in sealed
    assert seal.open(sealed, "cert_1") == SECRET
    assert seal.seal(SECRET, "cert_1") != sealed, "every nonce is fresh"
    assert Seal(tmp_path / KEY_FILE).open(sealed, "cert_1") == SECRET, "the key outlives the process"


def test_the_key_is_its_owners_alone_and_never_shown(tmp_path: Path) -> None:
    seal = Seal(tmp_path / KEY_FILE)
    seal.seal(SECRET, "cert_1")
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == KEY_LENGTH
    assert repr(seal) == f"<Seal {file}>"


def test_a_secret_cannot_be_moved_or_altered(tmp_path: Path) -> None:
    seal = Seal(tmp_path / KEY_FILE)
    sealed = seal.seal(SECRET, "cert_1")
    with pytest.raises(ConfigError, match="altered"):
        seal.open(sealed, "cert_2")
    for position in (5, 16, 17, len(sealed) - 1):
        wrong = bytearray(sealed)
        wrong[position] ^= 1
        with pytest.raises(ConfigError, match="altered"):
            seal.open(bytes(wrong), "cert_1")
    for length in (0, 1, 4, 5, 10, 17, 20, len(sealed) - 1):
        with pytest.raises(ConfigError):
            seal.open(sealed[:length], "cert_1")
    with pytest.raises(ConfigError, match="newer"):
        seal.open(b"\x02" + sealed[1:], "cert_1")


def test_the_key_of_another_store_is_told_from_damage(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / KEY_FILE).seal(SECRET, "cert_1")
    other = Seal(tmp_path / "other.key")
    other.seal(SECRET, "cert_1")
    with pytest.raises(ConfigError, match="must share this file"):
        other.open(sealed, "cert_1")


def test_a_lost_key_is_not_made_anew_to_open(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / KEY_FILE).seal(SECRET, "cert_1")
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        Seal(tmp_path / KEY_FILE).open(sealed, "cert_1")
    assert not (tmp_path / KEY_FILE).exists()


def test_a_damaged_key_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(ConfigError, match="not 32 bytes"):
        Seal(tmp_path / KEY_FILE).seal(SECRET, "cert_1")
    with pytest.raises(ConfigError, match="cannot be read"):
        Seal(tmp_path / "nowhere" / KEY_FILE).seal(SECRET, "cert_1")


def test_of_two_processes_that_make_the_key_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Seal(tmp_path / KEY_FILE), Seal(tmp_path / KEY_FILE)
    sealed = first.seal(SECRET, "cert_1")

    def not_yet(_path: Path) -> bool:
        return False  # the second looked before the first made it

    monkeypatch.setattr(Path, "exists", not_yet)
    assert second.open(second.seal(SECRET, "cert_2"), "cert_2") == SECRET
    assert second.open(sealed, "cert_1") == SECRET
