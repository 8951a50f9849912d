"""One value is written; every other byte stays."""

import stat
from pathlib import Path

import pytest

from portway.agent.config.edit import save, set_setting, with_setting, written
from portway.errors import ConfigError

NEW = "version: 3\nagent:\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "version: 3\nagent:\n  authtoken: NEW\n"),
        ("# mine\n", "# mine\nversion: 3\nagent:\n  authtoken: NEW\n"),
        ("version: 2\n# c\nauthtoken: old # keep\na: x\n", "version: 2\n# c\nauthtoken: NEW # keep\na: x\n"),
        ("version: 2\nauthtoken: 'a b'", "version: 2\nauthtoken: NEW\n"),
        (NEW + "    # c\n    log: x # y\n", NEW + "    # c\n    authtoken: NEW\n    log: x # y\n"),
        (NEW, NEW + "  authtoken: NEW\n"),
        (NEW + "endpoints: []\n", NEW + "  authtoken: NEW\nendpoints: []\n"),
        ("version: 3\nendpoints:\n  - a: 1\n", NEW + "  authtoken: NEW\nendpoints:\n  - a: 1\n"),
        ("{version: 3, agent: {log: x}}", "{version: 3, agent: {authtoken: NEW, log: x}}\n"),
        ("version: 3\nagent: {}\n", "version: 3\nagent: {authtoken: NEW}\n"),
        (NEW + "  authtoken:\n  log: x\n", NEW + "  authtoken: NEW\n  log: x\n"),
        (NEW + "  authtoken: ~ # none\n", NEW + "  authtoken: NEW # none\n"),
        ("log: x\n", "version: 2\nauthtoken: NEW\nlog: x\n"),
        ("agent: {}\n", "version: 3\nagent: {authtoken: NEW}\n"),
        (NEW + "  authtoken: >-\n    abc\n    def\n  log: x\n", NEW + "  authtoken: NEW\n  log: x\n"),
        (NEW + "  log: |\n    a\n    b\n# end\n", NEW + "  authtoken: NEW\n  log: |\n    a\n    b\n# end\n"),
    ],
)  # fmt: skip
def test_the_rest_stays(before: str, after: str) -> None:
    assert with_setting(before, "f", "authtoken", "NEW") == after


def test_other_settings_have_their_places() -> None:
    assert with_setting("version: 2\n", "f", "connect_url", "h:1") == "version: 2\nserver_addr: h:1\n"
    assert with_setting("version: 3\n", "f", "connect_url", "h:1") == NEW + "  connect_url: h:1\n"
    assert with_setting("version: 3\n", "f", "api_key", "k") == NEW + "  api_key: k\n"


@pytest.mark.parametrize(
    "value", ["2ab_cd", "true", "no", "a b", "a: b", "x#y", "'", '"', "1", "é", "-", "~", ""]
)
def test_any_text_comes_back(value: str) -> None:
    text = with_setting(NEW + "  log: x\n", "f", "authtoken", value)
    assert with_setting(text, "f", "authtoken", "z") == NEW + "  authtoken: z\n  log: x\n"


def test_plain_words_have_no_quotes() -> None:
    assert (written("host.test:4443"), written("ak_x-Y"), written("yes")) == (
        "host.test:4443",
        "ak_x-Y",
        '"yes"',
    )


@pytest.mark.parametrize(
    "before", ["a: [\n", "version: 3\nagent: [x]\n", "version: 3\nagent:\n  authtoken: [x]\n"]
)
def test_a_file_that_bears_no_edit_is_an_error(before: str) -> None:
    with pytest.raises(ConfigError):
        with_setting(before, "f", "authtoken", "NEW")


def test_files_are_their_owners(tmp_path: Path) -> None:
    file = tmp_path / "new" / "portway.yml"
    set_setting(file, "authtoken", "abc")
    assert file.read_text() == NEW + "  authtoken: abc\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    set_setting(file, "authtoken", "def")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640, "what the owner has chosen stays"
    assert [each.name for each in file.parent.iterdir()] == ["portway.yml"], "nothing else is left"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yml", tmp_path / "link.yml"
    file.write_text("version: 3\n")
    link.symlink_to(file)
    set_setting(link, "authtoken", "abc")
    assert link.is_symlink()
    assert "abc" in file.read_text()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        save(tmp_path / "file" / "portway.yml", "x")


def test_lines_end_as_they_did(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_bytes(b"version: 3\r\nagent:\r\n  log: x\r\n")
    set_setting(file, "authtoken", "abc")
    assert file.read_bytes() == b"version: 3\r\nagent:\r\n  authtoken: abc\r\n  log: x\r\n"
