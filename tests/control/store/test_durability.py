"""A writer that is killed at any moment loses nothing that it was told is written, and leaves no half."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select
from tests.kit.store import opened, place

from portway.control.service import accounts
from portway.control.store.tables import changes, credentials

ROUNDS = 10
MANY_ROUNDS = 100


class Writer:
    """The process that starts writers."""

    def __init__(self, where: Path | str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.writer", str(where)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def round(self, acknowledged: int) -> list[str]:
        """Let a writer write, kill it after so many acknowledgements; return all there were."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        pid = 0
        seen: list[str] = []
        while not pid or len(seen) < acknowledged:
            word, _, number = self._line().partition(" ")
            assert word != "ended", "the writer ended by itself"
            if number:
                pid = int(number)
            else:
                seen.append(word)
        os.kill(pid, signal.SIGKILL)
        while (line := self._line()) != "ended":
            seen.append(line)
        return seen

    def close(self) -> None:
        """End."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().decode().strip()
        assert line, "the writer's parent ended"
        return line


@contextlib.contextmanager
def writer(where: Path | str) -> Generator[Writer]:
    made = Writer(where)
    try:
        yield made
    finally:
        made.close()


async def killed(folder: Path, rounds: int) -> None:
    random = Random(rounds)
    acknowledged: set[str] = set()
    async with opened(folder) as context:
        await accounts.add(context, "a")
    with writer(place(folder)) as writing:
        for _ in range(rounds):
            acknowledged.update(writing.round(random.randrange(12)))
            async with opened(folder) as context, context.database.read() as connection:
                rows = set((await connection.execute(select(credentials.c.id))).scalars())
                noted = (await connection.execute(select(func.count()).select_from(changes))).scalar_one()
            assert acknowledged <= rows
            assert noted == len(rows), "a row and its change come together or not at all"
    assert acknowledged


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    await killed(tmp_path, ROUNDS)


@pytest.mark.long
async def test_kill_9_a_hundred_times(tmp_path: Path) -> None:
    await killed(tmp_path, MANY_ROUNDS)
