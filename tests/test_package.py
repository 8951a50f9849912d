"""What is published: the source distribution, and the files that a project has."""

import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from portway.wire import messages
from tests.kit.certs import make_certs

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.row("G-004")
def test_the_sdist_has_what_it_takes_to_build_and_test(tmp_path: Path) -> None:
    """The wheel is tested in tests/system/test_base_install.py."""
    build = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=100)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/portway/__init__.py", "tests/conftest.py"} <= names


@pytest.mark.row("G-020", "G-024")
def test_versions_are_stated() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    readme = (ROOT / "README.md").read_text()
    assert "Python 3.11" in readme, "the README says which versions were really run"


@pytest.mark.row("G-021", "G-022")
def test_the_files_that_a_project_has() -> None:
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "MIT"
    assert "make" in (ROOT / "CONTRIBUTING.md").read_text()
    assert "towncrier release notes start" in (ROOT / "CHANGELOG.md").read_text()
    assert list((ROOT / "changes").glob("+*.md")), "what has changed since the last release"


@pytest.mark.row("G-023")
def test_the_api_client_is_not_part_of_the_sdk() -> None:
    sources = (ROOT / "src" / "portway" / "agent").rglob("*.py")
    assert not [file for file in sources if "api_client" in file.read_text()]
    assert (ROOT / "src" / "portway" / "cli" / "api_client.py").exists()
    assert not (ROOT / "src" / "portway" / "agent" / "api_client.py").exists()


@pytest.mark.row("G-025")
def test_the_helpers_of_tests() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["timeout"] > 0, "every test has a deadline of its own"
    assert b"BEGIN CERTIFICATE" in make_certs("a.example").chain
    assert messages.Auth.__module__ == "portway.wire.messages"


@pytest.mark.row("T-027", "T-037", "T-058", "T-067")
def test_what_is_not_offered_is_said() -> None:
    """The TCP endpoints documentation says of each of its scenarios that the operator cannot do it."""
    assert "A Kubernetes operator" in (ROOT / "docs" / "out-of-scope.md").read_text()
