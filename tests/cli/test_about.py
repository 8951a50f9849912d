"""How an installation is renewed, and what it is made of."""

import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from portway.cli import about
from portway.cli.about import installation
from portway.cli.main import run


@pytest.mark.row("K-13")
@pytest.mark.parametrize(
    ("prefix", "installer", "command"),
    [
        ("/h/.local/share/pipx/venvs/portway", "pip", ("pipx", "upgrade", "portway")),
        ("/h/.local/share/uv/tools/portway", "uv", ("uv", "tool", "upgrade", "portway")),
        ("/h/venv", "uv", ("uv", "pip", "install", "--upgrade", "portway")),
        ("/h/venv", "pip", ("/py", "-m", "pip", "install", "--upgrade", "portway")),
        ("/usr", "pip", ()),
    ],
)
def test_the_command_for_each_installation(prefix: str, installer: str, command: tuple[str, ...]) -> None:
    assert installation(Path(prefix), "/py", None, installer).command == command


def test_a_clone_is_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["update"]) == 0
    assert "a clone at" in (text := capsys.readouterr().out)
    assert "git -C" in text
    assert run(["update", "--run"]) == 1


def test_it_runs_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for status in (0, 3):
        command = (sys.executable, "-c", f"raise SystemExit({status})")
        made = about.Installation("somehow", command)
        monkeypatch.setattr(about, "installation", Mock(return_value=made))
        assert run(["update", "--run"]) == (1 if status else 0)
    assert "ended with 3" in capsys.readouterr().err


@pytest.mark.row("K-13")
def test_credits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["credits"]) == 0
    text = capsys.readouterr().out
    for name in ("click", "rich", "msgspec", "ruamel", "MIT"):
        assert name in text
