"""`make run`: every line that it prints works as printed, in a shell."""

import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import clean_environment
from tests.kit.programs import need

pytestmark = pytest.mark.xdist_group("demo")

ROOT = Path(__file__).parent.parent.parent
ANYWHERE = {f"PORTWAY_LISTEN_{name}": "127.0.0.1:0" for name in ("AGENT", "HTTP", "HTTPS")}
"""`make run` takes the default ports; beside other tests it must not."""


@pytest.fixture
def demo(tmp_path: Path) -> Generator[str]:
    """The demo, running; gives what it printed."""
    printed = tmp_path / "printed"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo", "--data-dir", str(tmp_path / "data")],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=clean_environment() | ANYWHERE | {"PORTWAY_TCP_PORTS": "32000-32099"},
        )
    try:
        eventually(lambda: "Ctrl+C" in printed.read_text(), "the demo is online", timeout=40)
        yield printed.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_every_printed_line_works(demo: str) -> None:
    need("curl")
    curls = re.findall(r"^ +(curl .*)$", demo, re.MULTILINE)
    programs = re.findall(r"^ +(python3 -c .*)$", demo, re.MULTILINE)
    assert (len(curls), len(programs)) == (3, 1)
    quietly = "--silent --show-error --fail"
    for line in curls:
        host = re.search(r"https?://([^/ ]+)", line)
        assert host
        assert host[1] in _shell(f"{line} {quietly}"), "the page shows the Host of the request"
        assert "<html" in _shell(f"{line} {quietly} --header 'Accept: text/html'")
    assert _shell(programs[0]) == "hello through portway\n"


def _shell(line: str) -> str:
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout
