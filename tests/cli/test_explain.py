"""Every code that the program gives is explained, and nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from portway.cli.explain import catalogue
from portway.cli.main import cli, run

SOURCE = Path(__file__).parents[2] / "src" / "portway"
RAISERS = frozenset(
    {
        "Error", "NotFound", "RefusedSession", "Refusal", "LoginFailed", "TokenError", "ActionFailed",
        "Failed", "FetchFailed", "problem", "_problem", "problem_at", "complain",
    }
)  # fmt: skip
"""What is called with a code among its arguments."""


def texts() -> Iterator[str]:
    """Give the text of each module."""
    for path in SOURCE.rglob("*.py"):
        yield path.read_text()


def raised(text: str) -> Iterator[int]:
    """Give the codes that a module raises, as far as they stand where it does."""
    yield from (int(number) for number in re.findall(r"ERR_NGROK_(\d+)", text))
    if not re.search(r"\(\s*\d{3,5}\b|[,=]\s*\d{3,5}\s*[,)]", text):
        return  # to parse costs most
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
        if name not in RAISERS:
            continue
        given = [*node.args[name == "Refusal" :], *(each.value for each in node.keywords)]
        for each in given:
            if isinstance(each, ast.Constant) and type(each.value) is int and each.value >= 100:
                yield each.value


def test_every_code_that_is_raised_is_explained() -> None:
    found = {code for text in texts() for code in raised(text)}
    assert len(found) > 400, "the search finds them"
    assert sorted(found - set(catalogue())) == []


def test_every_code_that_is_explained_is_somewhere() -> None:
    everything = "\n".join(texts())
    numbers = {int(each.replace("_", "")) for each in re.findall(r"(?<![\w.])\d[\d_]*\d", everything)}
    numbers |= {int(each) for each in re.findall(r"ERR_NGROK_(\d+)", everything)}
    assert sorted(set(catalogue()) - numbers) == []


def test_texts_are_sentences_and_their_commands_exist() -> None:
    for each in catalogue().values():
        for text in (each.meaning, each.advice):
            assert re.fullmatch(r"[A-Z`\d].*\.", text), (each.code, text)
        for command in re.findall(r"`portway ([a-z0-9 -]+)", f"{each.meaning} {each.advice}"):
            found: click.Command | None = cli
            for word in command.split():
                if not isinstance(found, click.Group):
                    break
                found = found.get_command(click.Context(found), word)
                assert found is not None, (each.code, command)


@pytest.mark.parametrize("written", ["121", "ERR_NGROK_121", "err_ngrok_121"])
def test_a_code_is_explained(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", written]) == 0
    assert capsys.readouterr().out == (
        "ERR_NGROK_121  (Agents: the session)\n\n"
        "The agent is older than this service allows.\n"
        "Update the agent; `portway update` says how. The operator's --min-agent-version asks for it.\n"
    )


def test_what_is_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "999"]) == 1
    assert "ERR_NGROK_999 is no code that this version" in capsys.readouterr().err
    assert run(["explain", "xyz"]) == 2
    assert "'xyz' is no code" in capsys.readouterr().err


def test_an_error_says_who_explains_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["http", "80", "--url", "htps://x"]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "ERR_NGROK_9036",
        "What to do: portway explain ERR_NGROK_9036",
    ]
