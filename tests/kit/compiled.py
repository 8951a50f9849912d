"""The drivers of SDKs that must be compiled, tests/go and tests/rust: built into a cache that git ignores.

They need a toolchain that is recent enough for what the SDKs ask for, and their packages, whose versions are
pinned in go.mod and Cargo.toml. (Cargo.lock, which would pin what those need in turn, holds addresses: it is
made by the first build and stays out of the repository.) Where the one or the other cannot be had, the tests
are skipped with the reason; a driver that does not compile is a failure.
"""

import fcntl
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
CACHE = TESTS.parent / ".cache"

GO = (1, 25)
RUST = (1, 85)
"""Oldest toolchains: what the SDKs' own packages say that they need."""

FETCH, BUILD = 300, 1800
"""Seconds that fetching the packages, and compiling them on a small machine, may take."""

_USUAL = ("/usr/local/go/bin", str(Path.home() / ".cargo" / "bin"))
_PATH = os.pathsep.join((os.environ.get("PATH", ""), *_USUAL))


@cache
def go_driver() -> Path:
    """Return the driver of the Go SDK; skip the test when it cannot be had."""
    go = _tool("go", ("version",), GO)
    folder, made = TESTS / "go", CACHE / "go" / "driver"
    with _lock("go"):
        _fetch([go, "mod", "download"], folder, {})
        _build([go, "build", "-o", str(made), "."], folder, {})
    return made


@cache
def rust_driver() -> Path:
    """Return the driver of the Rust SDK; skip the test when it cannot be had."""
    cargo = _tool("cargo", ("--version",), RUST)
    folder, target = TESTS / "rust", CACHE / "rust"
    environ = {"CARGO_TARGET_DIR": str(target)}
    with _lock("rust"):
        _fetch([cargo, "fetch"], folder, environ)
        _build([cargo, "build", "--quiet", "--offline"], folder, environ)
    return target / "debug" / "portway-rust-driver"


def _tool(name: str, ask: tuple[str, ...], least: tuple[int, int]) -> str:
    wanted = f"{name} {least[0]}.{least[1]} or newer"
    found = shutil.which(name, path=_PATH)
    if found is None:
        pytest.skip(f"{wanted} is not installed")
    said = subprocess.run([found, *ask], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < least:
        pytest.skip(f"{wanted} is needed, here is {said.strip()}")
    return found


def _lock(name: str) -> "_Locked":
    (CACHE / name).mkdir(parents=True, exist_ok=True)
    return _Locked(CACHE / name / "lock")


class _Locked:
    """A file that one test process at a time holds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _fetch(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    try:
        done = _run(command, folder, environ, FETCH)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the packages of tests/{folder.name} could not be fetched within {FETCH} s")
    if done.returncode:
        pytest.skip(f"the packages of tests/{folder.name} could not be fetched: {done.stderr.strip()[-300:]}")


def _build(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    done = _run(command, folder, environ, BUILD)
    assert done.returncode == 0, f"tests/{folder.name} does not compile:\n{done.stderr[-4000:]}"


def _run(
    command: list[str], folder: Path, environ: dict[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": _PATH} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
