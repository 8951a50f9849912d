"""Completion scripts are valid for their shells, and complete commands and flags."""

import shutil
import subprocess

import pytest
from click.shell_completion import ShellComplete

from portway.cli.main import cli, run


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
