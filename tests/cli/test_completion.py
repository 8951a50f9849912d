"""Completion scripts are valid for their shells, and complete commands and flags."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from tests.kit.programs import need

from portway.cli.completion import place
from portway.cli.main import cli, run


@pytest.mark.row("K-13")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_PORTWAY_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=20)
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    assert run(["completion"]) == 0
    assert capsys.readouterr().out == script


def test_a_shell_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert run(["completion"]) == 1
    assert "name your shell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shell", "environ", "where"),
    [
        ("bash", {"HOME": "/h"}, "/h/.local/share/bash-completion/completions/portway"),
        ("bash", {"XDG_DATA_HOME": "/d"}, "/d/bash-completion/completions/portway"),
        ("fish", {"HOME": "/h"}, "/h/.config/fish/completions/portway.fish"),
        ("zsh", {"HOME": "/h"}, "/h/.zfunc/_portway"),
        ("zsh", {"HOME": "/h", "ZDOTDIR": "/z"}, "/z/.zfunc/_portway"),
    ],
)
def test_where_shells_look(shell: str, environ: dict[str, str], where: str) -> None:
    assert place(shell, environ) == Path(where)


@pytest.mark.row("K-13")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_it_is_installed(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert run(["completion", shell, "--install"]) == 0
    file = place(shell, {"HOME": str(tmp_path)})
    assert file.read_text() == script
    said = capsys.readouterr().out
    assert str(file) in said
    assert shell != "zsh" or f"fpath=({file.parent} $fpath)" in said


def test_bash_loads_the_installed_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As bash-completion does: the file is sourced, and then the program's words are completed."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run(["completion", "bash", "--install"]) == 0
    capsys.readouterr()
    lines = f"source {place('bash', {'XDG_DATA_HOME': str(tmp_path)})}; complete -p portway"
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-c", lines], capture_output=True, text=True, check=True, timeout=20)
    assert "-F _portway_completion portway" in done.stdout


ZSH = """
compdef() { print "compdef $@"; }
compadd() { print -l -- ${(P)@[-1]}; }
_describe() { print -l -- ${(P)3}; }
source $1
words=(portway ${@:2}); CURRENT=${#words}
_portway_completion
"""
"""The three functions of zsh's completion that matter, without a terminal: they print what they are given."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have this program on the PATH."""
    made = tmp_path / "bin" / "portway"
    made.parent.mkdir()
    made.write_text(f'#!/bin/sh\nexec {sys.executable} -m portway.cli.main "$@"\n')
    made.chmod(0o755)
    monkeypatch.setenv("PATH", f"{made.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return made


@pytest.mark.row("K-13")
def test_fish_completes(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "fish"]) == 0
    script = program.parent / "portway.fish"
    script.write_text(capsys.readouterr().out)
    lines = f"source {script}; complete -C 'portway config add-a'"
    done = subprocess.run(
        [need("fish"), "--no-config", "-c", lines], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "add-api-key\tSave the key of the control API in the file.",
        "add-authtoken\tSave an authtoken in the file.",
    ]


@pytest.mark.row("K-13")
def test_zsh_completes(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "zsh"]) == 0
    script = program.parent / "_portway"
    script.write_text(capsys.readouterr().out)
    done = subprocess.run(
        [need("zsh"), "-f", "-c", ZSH, "zsh", script, "config", "add-a"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "compdef _portway_completion portway",
        "add-api-key:Save the key of the control API in the file.",
        "add-authtoken:Save an authtoken in the file.",
    ]


def test_what_is_completed() -> None:
    complete = ShellComplete(cli, {}, "portway", "_PORTWAY_COMPLETE")
    assert [each.value for each in complete.get_completions([], "st")] == ["start"]
    flags = [each.value for each in complete.get_completions(["http"], "--upstream-p")]
    assert flags == ["--upstream-proxy-protocol", "--upstream-protocol"]
    assert [each.value for each in complete.get_completions(["config"], "add-a")] == [
        "add-api-key",
        "add-authtoken",
    ]
    assert complete.get_completions([], "tun") == []


def test_names_of_endpoints_are_completed(tmp_path: Path) -> None:
    file = tmp_path / "a.yml"
    file.write_text(
        "version: 3\nagent: {}\nendpoints:\n"
        "- {name: shop, upstream: {url: 80}}\n- {name: ship, upstream: {url: 81}}\n"
    )
    complete = ShellComplete(cli, {}, "portway", "_PORTWAY_COMPLETE")

    def names(*words: str) -> list[str]:
        return [each.value for each in complete.get_completions(list(words), "sh")]

    assert names("start", "--config", str(file)) == ["shop", "ship"]
    assert names("start", "--config", str(file), "shop") == ["ship"]
    file.write_text("version: 3\nnonsense: 1\n")
    assert names("start", "--config", str(file)) == []
