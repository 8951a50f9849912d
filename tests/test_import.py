"""`import portway` costs an application next to nothing: it loads little and touches nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEAVY = (
    *("click", "rich", "pydantic", "ruamel", "httpx", "httpx2", "h2", "fastapi", "sqlalchemy", "starlette"),
    *("cryptography", "OpenSSL", "uvicorn", "alembic", "celpy", "cel", "re2", "maxminddb", "brotli"),
)

LOOK = """
import json, socket, sys

opened = []
kind = socket.socket

class Watched(kind):
    def __init__(self, *arguments, **options):
        opened.append(1)
        super().__init__(*arguments, **options)

socket.socket = Watched
import portway
alone = sorted(name for name in sys.modules if name.startswith("portway."))
for name in portway.__all__:
    getattr(portway, name)
portway.Agent(authtoken="t")
portway.SyncAgent()
portway.Upstream(80)
print(json.dumps([alone, sorted(sys.modules), len(opened)]))
"""

TIME = """
import time
began = time.process_time()
{statement}
print(time.process_time() - began)
"""


def run(program: str, home: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.row("G-030")
def test_nothing_heavy_is_loaded_and_no_socket_opened(tmp_path: Path) -> None:
    alone, everything, sockets = run(LOOK, tmp_path)
    assert alone == []
    assert not {name.partition(".")[0] for name in everything} & set(HEAVY)
    assert not [
        name for name in everything if name.startswith(("portway.edge", "portway.control", "portway.cli"))
    ]
    assert sockets == 0


@pytest.mark.row("G-030")
def test_an_agent_costs_at_most_three_times_what_asyncio_does(tmp_path: Path) -> None:
    """Processor time, and the quickest of several runs of each in turn: what else runs here counts little."""
    statements = ("import asyncio", "import portway", "import portway; portway.Agent")
    runs = [[run(TIME.format(statement=each), tmp_path) for each in statements] for _ in range(4)]
    asyncio, alone, agent = (min(times) for times in zip(*runs, strict=True))
    assert alone <= 3 * asyncio
    assert agent <= 3 * asyncio
