"""Guards of the repository's shape: who may import whom, what pure packages may not know, the mirror
of source and tests, sizes, docstrings, and texts that must never be committed.

Everything is read from the source by its syntax tree; nothing is imported.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("architecture")  # every file is parsed once

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "portway"
TESTS = ROOT / "tests"
FILE_CEILING = 500  # lines
FUNCTION_CEILING = 80  # lines

# -- who may import whom -------------------------------------------------------------------------

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "pipe": set(),
    "paths": set(),
    "web": set(),
    "model": {"errors", "pipe"},
    "wire": {"errors", "pipe"},
    "codec": {"errors", "pipe"},
    "net": {"codec", "errors", "pipe"},
    "session": {"wire", "net", "errors", "pipe"},
    "policy": {"model", "codec", "errors"},
    "agent": {"session", "wire.messages", "net", "codec", "model", "web", "paths", "errors", "pipe"},
    "edge": {"session", "wire.messages", "net", "codec", "policy", "model", "errors", "pipe"},
    "cluster": {"net", "model", "errors"},
    "control": {"policy", "net.tasks", "net.turns", "codec", "model", "web", "errors"},
    "server": {"edge", "control", "cluster", "policy.limits", "net", "codec", "model", "paths", "errors"},
    "cli": {"__init__", "agent", "server", "policy", "net", "codec", "model", "paths", "errors"},
    "__init__": {"agent", "model", "errors"},
}
"""What each package may import of ours, itself aside. "a.b" allows that one module."""

PURE = {"model", "wire", "codec", "policy", "errors", "pipe"}
"""Packages without I/O, clock or chance: time and randomness are arguments there."""

IMPURE = {
    "asyncio", "concurrent", "glob", "io", "multiprocessing", "os", "pathlib", "random", "secrets",
    "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "uuid", "uvloop",
}  # fmt: skip
"""Modules that no pure package may import."""

IMPURE_CALLS = {"open", "input", "print"}

FOREIGN: dict[str, set[str]] = {
    "edge": {"sqlalchemy", "fastapi", "alembic", "aiosqlite"},
    "agent": {
        "sqlalchemy", "alembic", "aiosqlite", "cryptography", "structlog", "fastapi", "httptools",
        "asyncssh", "acme", "OpenSSL", "joserfc", "authlib", "nats", "maxminddb", "prometheus_client",
        "cel_expr_python", "re2",
    },
}  # fmt: skip
"""Libraries that a package must not import: the agent's list is the `server` extra."""


ONLY_JUDGES = {"h2", "hpack", "hyperframe"}
"""Libraries that tests hold our codecs to: the codecs do without them."""


class Import(NamedTuple):
    """One import statement: the importing file, its line, the dotted name imported."""

    file: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.name}"


def test_import_directions() -> None:
    wrong: list[str] = []
    for file in _files(SOURCE):
        package = _package(file)
        assert package in ALLOWED, f"{file.relative_to(ROOT)}: a new package needs a row in ALLOWED"
        ours = (found for found in _imports(file) if found.name.split(".")[0] == "portway")
        wrong += [str(found) for found in ours if not _may(package, found.name)]
    assert not wrong, _report(wrong)


def test_pure_packages_are_pure() -> None:
    wrong: list[str] = []
    for file in _files(SOURCE):
        if _package(file) not in PURE:
            continue
        wrong += [str(found) for found in _imports(file) if found.name.split(".")[0] in IMPURE]
        wrong += _calls(file, IMPURE_CALLS, methods=False)
    assert not wrong, _report(wrong)


def test_foreign_libraries_stay_out() -> None:
    wrong = [
        str(found)
        for file in _files(SOURCE)
        for found in _imports(file)
        if found.name.split(".")[0] in FOREIGN.get(_package(file), set())
    ]
    assert not wrong, _report(wrong)


ONE_PLACE = {"cel_expr_python": "policy/expression.py", "re2": "policy/regex.py"}
"""Libraries that one module hides, so that another can take their place."""


def test_some_libraries_have_one_place() -> None:
    wrong = [
        str(found)
        for file in _files(SOURCE)
        for found in _imports(file)
        if str(file.relative_to(SOURCE))
        != ONE_PLACE.get(found.name.split(".")[0], str(file.relative_to(SOURCE)))
    ]
    assert not wrong, _report(wrong)


def test_some_libraries_are_only_judges() -> None:
    wrong = [
        str(found)
        for file in _files(SOURCE)
        for found in _imports(file)
        if found.name.split(".")[0] in ONLY_JUDGES
    ]
    assert not wrong, _report(wrong)


def _may(package: str, name: str) -> bool:
    target = name.removeprefix("portway").removeprefix(".")
    allowed = ALLOWED[package] | {package}
    parts = target.split(".")
    if not ((SOURCE / parts[0]).is_dir() or (SOURCE / f"{parts[0]}.py").exists()):
        return "__init__" in allowed  # a public name, `from portway import Agent`
    return parts[0] in allowed or ".".join(parts[:2]) in allowed


@cache
def _imports(file: Path) -> list[Import]:
    """Return what ``file`` imports anywhere, in functions too; `from a import b` counts as a.b."""
    found: list[Import] = []
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            found += [Import(file, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(file, node)
            found += [Import(file, node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def _absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    folder = file.relative_to(ROOT / "src").parent.parts
    base = folder[: len(folder) - node.level + 1]
    return ".".join((*base, *((node.module,) if node.module else ())))


# -- tasks, sleep --------------------------------------------------------------------------------

TASK_MAKERS = {"create_task", "ensure_future"}

MAY_SLEEP: dict[str, str] = {
    "tests/kit/eventually.py": "the one place that polls for what a foreign process will do",
}
"""Files of tests that may wait for time to pass, and why."""


def test_only_one_module_creates_tasks() -> None:
    wrong: list[str] = []
    for file in _files(SOURCE):
        if file != SOURCE / "net" / "tasks.py":
            wrong += _calls(file, TASK_MAKERS)
    assert not wrong, _report(wrong)


def test_tests_do_not_sleep() -> None:
    sleepers: dict[str, list[str]] = {}
    for file in _files(TESTS):
        if not _mentions(file, {"sleep"}):
            continue
        for node in _nodes(file):
            if isinstance(node, ast.Call) and _called(node) == "sleep" and not _is_zero(node):
                place = str(file.relative_to(ROOT))
                sleepers.setdefault(place, []).append(f"{place}:{node.lineno} sleeps")
    wrong = [line for place, lines in sleepers.items() if place not in MAY_SLEEP for line in lines]
    assert not wrong, _report(wrong)
    assert set(MAY_SLEEP) <= set(sleepers), "an exemption that nothing needs any more"


def _calls(file: Path, names: set[str], *, methods: bool = True) -> list[str]:
    """Return where ``file`` calls one of ``names``, as a function or, if ``methods``, a method too."""
    if not _mentions(file, names):
        return []
    calls = (node for node in _nodes(file) if isinstance(node, ast.Call))
    return [
        f"{file.relative_to(ROOT)}:{call.lineno} calls {_called(call)}()"
        for call in calls
        if _called(call) in names and (methods or isinstance(call.func, ast.Name))
    ]


def _mentions(file: Path, names: set[str]) -> bool:
    """Tell whether it is worth to look closer, which takes long."""
    text = file.read_text()
    return any(name in text for name in names)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _is_zero(node: ast.Call) -> bool:
    return [ast.unparse(argument) for argument in node.args] == ["0"]


# -- regular expressions -------------------------------------------------------------------------


def test_no_possessive_or_atomic_group() -> None:
    """CPython before 3.11.5 forgets to step back when such a group fails half-way (gh-106052)."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for file in _files(SOURCE)
        for node in _nodes(file)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | bytes)
        and re.search(r"[^\\]\)[*+?]\+|\(\?>", str(node.value))
    ]
    assert not wrong, _report(wrong)


# -- the mirror of source and tests --------------------------------------------------------------

NO_TEST_OF_ITS_OWN: dict[str, str] = {
    "__init__.py": "names only; tests/typing shows what they are",
    "edge/bound.py": "a value; tests of edge/endpoints.py make and change it",
    "edge/http_sides.py": "Protocols only",
    "edge/http_heads.py": "small functions; tests of edge/policy_request.py see what they make",
    "edge/ports.py": "Protocols and values only",
    "edge/ssh_limits.py": "numbers; each is tested where it holds",
    "model/certificate.py": "values only; tests of control/certificates/inspect.py fill them",
    "policy/geo.py": "values only; tests of policy/values.py fill them",
    "policy/phase.py": "a table; tests of policy/compiler.py go through it",
    "policy/verdict.py": "values only; tests of policy/engine.py show what they mean",
    "session/__init__.py": "names only; every test of a session uses them",
}
"""Source files without a test file of their own, and why."""

NO_SOURCE_OF_ITS_OWN: dict[str, str] = {
    "agent/test_cancellation.py": "what a cancelled call leaves, row by row of docs/cancellation.md",
    "agent/test_with_service.py": "the SDK against the real data plane",
    "control/store/test_durability.py": "a process that writes is killed again and again",
    "control/store/test_migrations.py": "the history of the tables, whose files are named by number",
    "edge/test_http2_attacks.py": "what hostile visitors of HTTP/2 do",
    "edge/test_http_clients.py": "curl, http.client and websockets through the whole HTTP edge",
    "edge/test_internal.py": "internal endpoints from the bind to visitors that do not reach them",
    "edge/test_routing.py": "names in all their forms, wildcards and tenants side by side",
    "edge/test_pooling.py": "pools from the bind to their visitors",
    "edge/test_http_limits.py": "what one visitor's connection may take, of heads and of turns",
    "session/test_abandoned.py": "requests that a peer gives up, one by one and in floods",
    "codec/test_http1_against_httptools.py": "what httptools refuses and we accept is a failure",
    "codec/test_http2_against_h2.py": "the library as the peer, in random conversations",
    "policy/actions/test_configs.py": "settings of all actions: accepted, or refused with which code",
    "policy/test_examples.py": "the policies and expressions that the documentation shows",
    "wire/test_captures.py": "what official clients said, replayed through all of wire",
    "wire/test_schedules.py": "two machines of wire back to back, under any schedule",
}
"""Test files in mirrored folders that belong to no one module, and what they are about."""


def test_every_module_has_its_test_file() -> None:
    exempt = set(NO_TEST_OF_ITS_OWN)
    missing: list[str] = []
    for file in _files(SOURCE):
        place = file.relative_to(SOURCE)
        if _is_bare(file) or "migrations" in place.parts:
            continue
        has_test = (TESTS / place.parent / f"test_{place.stem.strip('_')}.py").exists()
        if has_test:
            assert str(place) not in exempt, f"{place} has a test: drop its exemption"
        elif str(place) not in exempt:
            missing.append(f"src/portway/{place} has no tests/{place.parent}/test_{place.stem}.py")
    assert not missing, _report(missing)
    stale = [name for name in exempt if not (SOURCE / name).exists()]
    assert not stale, f"exemptions for files that are gone: {stale}"


def test_every_test_file_has_its_module() -> None:
    wrong: list[str] = []
    for folder in sorted(path for path in SOURCE.rglob("*") if path.is_dir()):
        mirrored = TESTS / folder.relative_to(SOURCE)
        for test in sorted(mirrored.glob("test_*.py")):
            stem = test.stem.removeprefix("test_")
            place = str(test.relative_to(TESTS))
            has_source = any((folder / name).exists() for name in (f"{stem}.py", f"__{stem}__.py"))
            if not has_source and place not in NO_SOURCE_OF_ITS_OWN:
                wrong.append(f"tests/{place} mirrors no module")
    assert not wrong, _report(wrong)
    stale = [name for name in NO_SOURCE_OF_ITS_OWN if not (TESTS / name).exists()]
    assert not stale, f"exemptions for files that are gone: {stale}"


def _is_bare(file: Path) -> bool:
    """Say whether a package marker holds only a docstring, imports and `__all__`."""
    return file.name == "__init__.py" and all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in _tree(file).body
    )


# -- shape ---------------------------------------------------------------------------------------


def test_file_and_function_ceilings() -> None:
    wrong: list[str] = []
    for file in (*_files(SOURCE), *_files(ROOT / "tools"), *_files(ROOT / "examples")):
        lines = len(file.read_text().splitlines())
        if lines > FILE_CEILING:
            wrong.append(f"{file.relative_to(ROOT)}: {lines} lines, ceiling {FILE_CEILING}")
        for node in _nodes(file):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_CEILING:
                    wrong.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {length} lines")
    assert not wrong, _report(wrong)


def test_every_public_name_has_a_docstring() -> None:
    wrong: list[str] = []
    for file in _files(SOURCE):
        if "migrations" in file.parts:
            continue
        tree = _tree(file)
        if not ast.get_docstring(tree):
            wrong.append(f"{file.relative_to(ROOT)}: the module")
        wrong += [f"{file.relative_to(ROOT)}:{line} {name}" for line, name in _undocumented(tree.body, "")]
    assert not wrong, _report(wrong)


def _undocumented(body: list[ast.stmt], inside: str) -> Iterator[tuple[int, str]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_") or _inherits_docstring(node):
            continue
        if not ast.get_docstring(node):
            yield node.lineno, inside + node.name
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{inside}{node.name}.")


def _inherits_docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Say whether the contract is written elsewhere: overrides and overloads repeat nothing."""
    names = {ast.unparse(mark).split(".")[-1] for mark in node.decorator_list}
    return bool(names & {"override", "overload", "setter"})


# -- texts that must not be committed ------------------------------------------------------------

FORBIDDEN = {
    "the path of a machine": r"/work/|/root/|/home/\w+/",
    "a place outside the repository": r"\.\./shared",
    "a package host": r"pypi\.org|pythonhosted|registry\.npmjs|registry\.yarnpkg|--index-url|--registry",
    "a secret": r"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\n[A-Za-z0-9+/=]{20}",
}
"""What no committed file may contain. These patterns and the Makefile's flags aside, see below."""

MAY_SAY = {
    "tests/test_architecture.py": "holds the patterns",
    "Makefile": "--no-emit-index-url keeps hosts out",
}


def test_no_forbidden_text() -> None:
    wrong: list[str] = []
    for file in _committed():
        place = str(file.relative_to(ROOT))
        if place in MAY_SAY:
            continue
        try:
            text = file.read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        for what, pattern in FORBIDDEN.items():
            for found in re.finditer(pattern, text):
                line = text.count("\n", 0, found.start()) + 1
                wrong.append(f"{place}:{line} {what}: {found.group()[:40]}")
    assert not wrong, _report(wrong)


def _committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git work tree")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


# -- helpers -------------------------------------------------------------------------------------


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


@cache
def _nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(_tree(file)))


@pytest.fixture(scope="module", autouse=True)
def _nothing_kept() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Forget the trees afterwards: whoever looks for garbage later would look through all of them."""
    yield
    for kept in (_tree, _nodes, _imports):
        kept.cache_clear()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if "node_modules" not in file.parts)


def _package(file: Path) -> str:
    first = file.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def _report(lines: list[str]) -> str:
    return "\n" + "\n".join(lines)
