"""The command tree: help, wrong words, failures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portway.cli.main import COMMANDS, HIDDEN, cli, run
from portway.errors import Error


def test_help_lists_every_command_and_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert (f"\n  {name} " in text) == (name not in HIDDEN)
    assert "portway http 8080" in text
    assert "PORTWAY_AUTHTOKEN" in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"portway {name}" in capsys.readouterr().out


@pytest.mark.row("K-05")
def test_a_wrong_command_names_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["htpp", "80"]) == 2
    assert "there is no command 'htpp'; did you mean http?" in capsys.readouterr().err
    assert run(["xyz"]) == 2
    assert "there is no command 'xyz'; commands: http, tcp" in capsys.readouterr().err


def test_a_wrong_option_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["http", "80", "--no-such-thing"]) == 2
    assert "--no-such-thing" in capsys.readouterr().err


@pytest.mark.row("K-13")
def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import portway

    assert run(["version"]) == 0
    assert capsys.readouterr().out == f"portway version {portway.__version__}\n"


def test_a_refusal_of_the_service_is_a_message_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise Error("The authtoken is unknown.", 107)

    monkeypatch.setattr(cli, "main", refuse)
    assert run(["version"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: The authtoken is unknown.",
        "ERR_NGROK_107",
        "What to do: portway explain ERR_NGROK_107",
    ]


def test_help_imports_neither_the_server_nor_the_agent() -> None:
    program = (
        "import sys; from portway.cli.main import run; run(['--help']);"
        "heavy = ('portway.agent', 'portway.server', 'rich', 'sqlalchemy');"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_without_standard_streams(tmp_path: Path) -> None:
    """What a daemon's parent has closed is /dev/null: a socket of that number would end an event loop."""
    program = (
        "import os, sys; from portway.cli.main import complete_streams; complete_streams();"
        "print('nobody'); print('nobody', file=sys.stderr);"
        "open(sys.argv[1], 'w').write(' '.join(os.readlink(f'/proc/self/fd/{each}') for each in range(3)))"
    )
    said = tmp_path / "said"
    line = 'exec "$1" -c "$2" "$3" <&- >&- 2>&-'
    subprocess.run(["/bin/sh", "-c", line, "sh", sys.executable, program, said], check=True, timeout=60)
    assert said.read_text() == " ".join([os.devnull] * 3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_disk_that_is_full_is_told_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "portway.cli.main", "version"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: No space left on device\n"
