"""Files for the system that runs the agent: valid for what reads them, hostile names included."""

import plistlib
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from portway.cli.units import NAME, system_of, unit

WORDS = ("/opt/py thon/python", "-m", "portway.cli.main", "start", "--all", "--config", "/etc/a %b$c&<d>.yml")
HOME = Path("/h")


def test_which_system() -> None:
    assert [system_of(name) for name in ("linux", "darwin", "win32")] == ["systemd", "launchd", "windows"]


@pytest.mark.row("K-11")
@pytest.mark.parametrize("user", [False, True])
def test_systemd(user: bool, tmp_path: Path) -> None:
    made = unit("systemd", ("/bin/true", *WORDS[1:]), user=user, home=HOME)
    assert made.path.name == f"{NAME}.service"
    assert made.path.is_relative_to(HOME) == user
    assert '"/etc/a %%b$$c&<d>.yml"' in made.text
    assert ("--user" in made.start) == user
    if program := shutil.which("systemd-analyze"):
        file = tmp_path / made.path.name
        file.write_text(made.text)
        done = subprocess.run(
            [program, "verify", "--man=no", *(["--user"] if user else []), str(file)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        ours = [line for line in (done.stdout + done.stderr).splitlines() if NAME in line]
        assert not ours
        if not user:
            assert done.returncode == 0, done.stderr


@pytest.mark.row("K-11")
def test_launchd() -> None:
    made = unit("launchd", WORDS, user=True, home=HOME)
    read = plistlib.loads(made.text.encode())
    assert read["ProgramArguments"] == list(WORDS)
    assert (read["RunAtLoad"], read["KeepAlive"]) == (True, True)
    assert made.path == HOME / "Library/LaunchAgents" / f"{read['Label']}.plist"


@pytest.mark.row("K-11")
def test_windows() -> None:
    made = unit("windows", WORDS, user=False, home=HOME)
    space = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    root = ET.fromstring(made.text.partition("?>")[2].strip())  # ours, not anybody's
    assert root.findtext(".//t:Command", namespaces=space) == WORDS[0]
    arguments = root.findtext(".//t:Arguments", namespaces=space) or ""
    assert shlex.split(arguments) == list(WORDS[1:])
    assert root.find(".//t:BootTrigger", space) is not None
    assert made.install[0][-1] == str(made.path)
