"""Write docs/conformance.md: every promised row, what it means, and the tests that prove it.

The rows and their meanings stand in docs/conformance.toml; the proofs are the tests' `row` markers, read
from the syntax tree. `--check` writes nothing and fails when the page is not what it would write.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "docs" / "conformance.toml"
PAGE = ROOT / "docs" / "conformance.md"
TESTS = ROOT / "tests"

HEAD = """\
# Conformance

Written by `tools/conformance.py` from `conformance.toml` and the tests; do not edit.

Rows `G-…` are the promises of the ngrok-go documentation, `T-…` those of the TCP endpoints documentation,
`P-…` the points of [spec/policy.md](spec/policy.md) and of the [actions](reference/actions/README.md),
`K-…` those of the command line, its files and the SSH gateway ([reference/cli.md](reference/cli.md),
[reference/config.md](reference/config.md), [ssh.md](ssh.md)),
`S…` and `A…` the duties of the service and of the agent in [spec/wire.md](spec/wire.md), `C…` those of the
control API in [reference/api.md](reference/api.md). A row is *proved* when at least one test that is marked
with it passes in `make test`; the others are open.
"""


class Area(NamedTuple):
    """A part of the product and the rows that its work proves."""

    title: str
    rows: dict[str, str]


class Proof(NamedTuple):
    """One test that claims to prove a row."""

    row: str
    test: str


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit status."""
    areas = read_areas(ROWS.read_text())
    proofs = [proof for file in sorted(TESTS.rglob("test_*.py")) for proof in proofs_of(file)]
    known = {row for area in areas for row in area.rows}
    unknown = sorted(
        {f"{proof.test} names the unknown row {proof.row}" for proof in proofs if proof.row not in known}
    )
    if unknown:
        print(*unknown, sep="\n")
        return 1
    text = render(areas, proofs)
    if "--check" not in arguments:
        PAGE.write_text(text)
        print(f"{PAGE.relative_to(ROOT)}: {_count(areas, proofs)}")
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.relative_to(ROOT)} is not up to date; run: make conformance")
        return 1
    return 0


def read_areas(text: str) -> list[Area]:
    """Read conformance.toml; a row may stand in one area only."""
    areas = [Area(table["title"], table["rows"]) for table in tomllib.loads(text).values()]
    rows = [row for area in areas for row in area.rows]
    twice = {row for row in rows if rows.count(row) > 1}
    if twice:
        raise ValueError(f"rows that stand twice: {sorted(twice)}")
    return areas


def proofs_of(file: Path) -> Iterator[Proof]:
    """Yield what the `row` markers of one test file claim, wherever in the file they stand."""
    place = str(file.relative_to(TESTS))
    yield from _walk(ast.parse(file.read_text(), str(file)), place)


def _walk(node: ast.AST, place: str) -> Iterator[Proof]:
    for child in ast.iter_child_nodes(node):
        inside = place
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{place}::{child.name}"
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("mark.row"):
            for argument in child.args:
                literal = argument.value if isinstance(argument, ast.Starred) else argument
                try:
                    said = ast.literal_eval(literal)
                except ValueError:
                    raise TypeError(f"{place}:{child.lineno}: rows are written out as texts") from None
                for row in [said] if isinstance(said, str) else said:
                    yield Proof(row, place)
        yield from _walk(child, inside)


def render(areas: list[Area], proofs: list[Proof]) -> str:
    """Return the whole page."""
    tests: dict[str, list[str]] = {}
    for proof in proofs:
        seen = tests.setdefault(proof.row, [])
        if proof.test not in seen:
            seen.append(proof.test)
    lines = [HEAD, f"{_count(areas, proofs)}\n", "| area | rows | proved |", "|---|---|---|"]
    lines += [
        f"| {area.title} | {len(area.rows)} | {sum(row in tests for row in area.rows)} |" for area in areas
    ]
    for area in areas:
        lines += [f"\n## {area.title}\n", "| row | meaning | proved by |", "|---|---|---|"]
        for row, meaning in sorted(area.rows.items(), key=lambda item: _order(item[0])):
            proved = "<br>".join(f"`{test}`" for test in tests.get(row, [])) or "open"
            lines.append(f"| {row} | {meaning} | {proved} |")
    return "\n".join(lines) + "\n"


def _order(row: str) -> tuple[str, int]:
    letters = row.rstrip("0123456789")
    return letters, int(row[len(letters) :])


def _count(areas: list[Area], proofs: list[Proof]) -> str:
    rows = {row for area in areas for row in area.rows}
    proved = {proof.row for proof in proofs}
    return f"{len(rows & proved)} of {len(rows)} rows are proved."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
