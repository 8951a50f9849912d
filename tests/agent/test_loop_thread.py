"""The loop of synchronous code, and what it survives."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portway.agent.loop_thread import LOOP, LoopThread
from portway.agent.sync import farewell


@pytest.fixture
def goodbye() -> Iterator[None]:
    """End the loop that all synchronous agents share."""
    yield
    farewell()


def test_a_call_from_the_loop_itself_is_refused(goodbye: None) -> None:
    loop = LoopThread()

    async def outer() -> None:
        loop.run(asyncio.sleep(0))

    with pytest.raises(RuntimeError, match="wait for itself"):
        loop.run(outer())
    loop.stop()
    loop.stop()


FORKING = """
import asyncio, os, sys
import portway
from portway.agent.loop_thread import LOOP

agent = portway.SyncAgent(authtoken="x", connect_url="localhost:1")
LOOP.run(asyncio.sleep(0))
child = os.fork()
if not child:
    try:
        agent.connect()
    except portway.ConnectError:
        print("refused", flush=True)
    sys.exit(0)  # the child says goodbye to nobody
print(os.waitpid(child, 0)[1], LOOP.run(asyncio.sleep(0, "runs")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_was_forked_begins_afresh(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env={"PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["refused", "0 runs"]


@pytest.mark.usefixtures("goodbye")
def test_a_callback_that_exits_does_not_take_the_loop_along(caplog: pytest.LogCaptureFixture) -> None:
    async def leave() -> None:
        asyncio.get_running_loop().call_soon(sys.exit)

    async def stay() -> str:
        return "runs"

    LOOP.run(leave())
    assert LOOP.run(stay()) == "runs"
    assert "only the main thread" in caplog.text
