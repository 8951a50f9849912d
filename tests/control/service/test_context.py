"""What use cases share."""

import time
from pathlib import Path

from portway.control.service.context import Context
from portway.control.store.database import open_database


async def test_the_real_clock_and_real_randomness_are_the_defaults(tmp_path: Path) -> None:
    async with open_database(tmp_path / "portway.db") as database:
        context = Context(database)
    assert abs(context.now() - time.time()) < 60
    assert context.random(16) != context.random(16)
