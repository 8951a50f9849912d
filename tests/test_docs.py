"""The documentation is run: snippets, tables of limits, links.

A fence is run when a comment before it says how: ``<!-- snippet: KIND -->``.

- ``online``: a Python program that puts port 8080 online and prints the URL; it runs beside a live service of
  the same user, and the URL must answer.
- ``shell``: every line must be a command that exists, with flags that exist.
- ``ssh``: every line is run by stock OpenSSH in tests/system/test_ssh_gateway.py.

A Python or shell fence without a comment fails, except in docs/spec and docs/decisions.
"""

import asyncio
import importlib
import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click
import pytest

from portway.cli.main import cli
from tests.kit.eventually import eventually
from tests.kit.product import Service, clean_environment
from tests.kit.traffic import get, hello_http, server

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "changes").glob("R*.md")),
]
FREE = ("spec", "decisions")  # folders whose fences are quotations, not programs

_FENCE = re.compile(
    r"(?:<!-- snippet: (?P<kind>\w+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")


class Snippet(NamedTuple):
    """One fence of one page."""

    page: Path
    line: int
    kind: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _snippets() -> list[Snippet]:
    found: list[Snippet] = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Snippet(page, line, match["kind"] or "", match["language"], match["text"]))
    return found


SNIPPETS = _snippets()


def _of(kind: str) -> list[Snippet]:
    return [snippet for snippet in SNIPPETS if snippet.kind == kind]


def test_every_program_says_how_it_is_run() -> None:
    silent = [
        str(snippet)
        for snippet in SNIPPETS
        if snippet.language in ("python", "sh", "bash", "console")
        and not snippet.kind
        and snippet.page.parent.name not in FREE
    ]
    assert not silent
    assert {snippet.kind for snippet in SNIPPETS} <= {"", "online", "shell", "ssh"}


# -- Python --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A home folder whose user runs a service, as a reader of the README does."""
    folder = tmp_path_factory.mktemp("home")
    service = Service(folder, data=folder / ".local" / "share" / "portway")
    try:
        service.start()
        yield folder
    finally:
        service.kill()


@pytest.mark.xdist_group("docs")
@pytest.mark.row("G-005")
@pytest.mark.parametrize("snippet", _of("online"), ids=str)
async def test_a_program_that_goes_online(snippet: Snippet, home: Path, tmp_path: Path) -> None:
    bootstrap = Service(home, data=home / ".local" / "share" / "portway").bootstrap
    printed = tmp_path / "printed"
    async with server(hello_http) as upstream:
        with _running(snippet.text.replace("8080", str(upstream)), home, printed):
            url = await asyncio.to_thread(
                eventually, lambda: _url_in(printed), "a URL is printed", timeout=20
            )
            tls = ssl.create_default_context(cafile=bootstrap.ca_cert)
            answer = await get(url + "/read", urlsplit(url).port or 0, tls=tls)
    assert answer.status == 200
    assert answer.body.startswith(b"hello /read host=")


@contextmanager
def _running(program: str, home: Path, printed: Path) -> Generator[None]:
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=_environment(home), stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _url_in(printed: Path) -> str:
    found = re.search(r"\w+://\S+", printed.read_text())
    return found.group() if found else ""


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in clean_environment().items() if not name.startswith("XDG_")}
    return kept | {"HOME": str(home)}


# -- shell ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("snippet", _of("shell"), ids=str)
def test_shell_lines_name_what_exists(snippet: Snippet) -> None:
    for line in snippet.text.splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words:
                _check_command(words)


def _check_command(words: list[str]) -> None:
    program = Path(words[0]).name
    if program == "portway":
        _parse_portway(words[1:])
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets, f"make has no target {words[1]}"
    elif program == "export":
        variable = words[1].partition("=")[0]
        sources = (ROOT / "src").rglob("*.py")
        assert any(f'"{variable}"' in file.read_text() for file in sources), f"nobody reads {variable}"
    elif program in ("python3", "pip", "towncrier", "curl", "cd", "git"):
        return
    else:
        raise AssertionError(f"a command that this test does not know: {shlex.join(words)}")


def _parse_portway(arguments: list[str]) -> None:
    """Parse a command line without running it: unknown commands and flags raise UsageError."""
    with click.Context(cli, info_name="portway") as context:
        command: click.Command = cli
        rest = arguments
        while isinstance(command, click.Group) and rest:
            name, found, rest = command.resolve_command(context, rest)
            assert name
            assert found
            command = found
        command.make_context("portway", rest, parent=context)


# -- limits --------------------------------------------------------------------------------------

LIMITS = (ROOT / "docs" / "limits.md").read_text()
_ROW = re.compile(r"^\| `([\w.]+)` \| ([^|]+) \|", re.MULTILINE)
_FLAG_ROW = re.compile(r"^\| `--([\w-]+)` \| ([^|]+) \|", re.MULTILINE)


@pytest.mark.parametrize(("name", "default"), _ROW.findall(LIMITS))
def test_limits_are_what_the_page_says(name: str, default: str) -> None:
    value: object = importlib.import_module("portway")
    dotted = "portway"
    for part in name.split("."):
        dotted += f".{part}"
        value = getattr(value, part) if hasattr(value, part) else importlib.import_module(dotted)
        if isinstance(value, type):
            value = value()  # a group of limits: its defaults show in an instance
    assert isinstance(value, int | float)
    assert float(default) == value


@pytest.mark.parametrize(("flag", "default"), _FLAG_ROW.findall(LIMITS))
def test_settings_are_what_the_page_says(flag: str, default: str) -> None:
    from portway.server.config import OPTIONS

    shown = {option.flag: option.shown_default for option in OPTIONS}
    assert shown[f"--{flag}"] == default.strip()


def test_no_limit_has_two_lines() -> None:
    names = [name for name, _ in _ROW.findall(LIMITS)]
    assert not {name for name in names if names.count(name) > 1}


def test_every_limit_of_the_edge_has_a_line() -> None:
    from portway.edge.ports import Limits

    listed = {name.rpartition(".")[2] for name, _ in _ROW.findall(LIMITS) if ".Limits." in name}
    assert listed == set(Limits.__struct_fields__)


# -- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not broken
