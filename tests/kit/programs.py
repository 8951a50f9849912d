"""The real programs that tests drive, and what happens when one is absent.

On a laptop an absent program skips its tests and names the Debian package that brings it; under
PORTWAY_REQUIRE_ALL=1 (CI) every skip is a failure, see tests/conftest.py.
"""

import os
import shutil
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent.parent / "debian-packages.txt"
"""One line a program: the Debian package, then the program's name or a path pattern."""

_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def need(program: str) -> Path:
    """Return where ``program`` is; skip the test when it is nowhere, naming its Debian package."""
    found = find(program)
    if found is None:
        pytest.skip(f"{program} is not installed; Debian package: {package_of(program)}")
    return found


def find(program: str) -> Path | None:
    """Return where ``program`` is: on the PATH, in a system folder or by its listed pattern."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS))
    found = shutil.which(program, path=path)
    if found:
        return Path(found)
    for pattern in (place for _, place in listed() if place.startswith("/")):
        if Path(pattern).name == program:
            return max(Path("/").glob(pattern.lstrip("/")), default=None)
    return None


def package_of(program: str) -> str:
    """Return the Debian package that brings ``program``."""
    for package, place in listed():
        if Path(place).name == program:
            return package
    raise LookupError(f"{program} has no line in {PACKAGES.name}")


def listed() -> list[tuple[str, str]]:
    """Return the lines of debian-packages.txt as (package, program or path pattern)."""
    lines = (line.split("#")[0].split() for line in PACKAGES.read_text().splitlines())
    return [(line[0], line[1]) for line in lines if line]
