"""Flags of the program: before the command, behind it, and where a command has no use for them."""

from pathlib import Path

import click
import pytest

from portway.cli import session
from portway.cli.common import spread
from portway.cli.main import cli, run


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--config a http 80", "http --config a 80"),
        ("--config=a --log false http 80 --config b", "http --config=a --log false 80 --config b"),
        ("config --config a check", "config check --config a"),
        ("--log x config check", "config check"),
        ("version --config a --log=b", "version"),
        ("api --config a endpoints list", "api endpoints list --config a"),
        ("--metadata m http 80 --metadata n", "--metadata m http 80 --metadata n"),
        ("http 80 -- --config", "http 80 -- --config"),
        ("help", "--help"),
        ("help config check", "config check --help"),
        ("--config a htpp 80", "htpp 80"),
        ("--nonsense http", "--nonsense http"),
        ("--config a", "--config a"),
        ("", ""),
    ],
)
def test_where_flags_go(given: str, meant: str) -> None:
    assert spread(cli, click.Context(cli), given.split()) == meant.split()


def test_the_metadata_of_the_session_and_that_of_the_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[session.Plan] = []
    monkeypatch.setattr(session, "run", plans.append)
    file = tmp_path / "a.yml"
    file.write_text("version: 3\nagent: {metadata: file}\nendpoints: [{name: a, upstream: {url: 80}}]\n")
    config = ["--config", str(file)]
    commands = (
        ["--metadata", "mine", *config, "http", "80", "--metadata", "its"],
        ["--metadata", "mine", "start", "a", *config],
        ["start", "a", "--metadata", "mine", *config],
        ["start", "a", *config],
    )
    for command in commands:
        assert run(command) == 0
    told = [session.agent_options(plan.flags, plan.settings, {}).get("metadata") for plan in plans]
    assert told == ["mine", "mine", "mine", "file"]
    assert plans[0].endpoints[0].metadata == "its"


def test_a_mistake_is_told_where_it_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "/none.yml", "config", "check"]) == 1
    assert "/none.yml" in capsys.readouterr().err
    assert run(["--config", "x", "nope"]) == 2
    assert "there is no command 'nope'" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert "portway http 8080" in shown
    assert run(["help"]) == 0
    assert capsys.readouterr().out == shown
    assert run(["-v"]) == 0
    assert capsys.readouterr().out.startswith("portway version ")
