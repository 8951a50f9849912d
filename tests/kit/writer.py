"""A process that writes to a store and says what was acknowledged, to be killed at any moment.

``python -m tests.kit.writer WHERE`` starts a writer for each line that it reads: a fork, so that a round
does not pay for the imports. It prints ``started PID``, then the identifier of each credential once its
transaction is committed, and ``ended`` when the writer is gone.
"""

import asyncio
import os
import sys
from importlib import import_module
from pathlib import Path

from portway.control.service import credentials
from portway.control.service.context import Context
from portway.control.store.database import open_database

TASKS = 3
"""Tasks that write at a time."""


def place(where: str) -> Path | str:
    """Return a path, unless it is a URL."""
    return where if "://" in where else Path(where)


async def write(where: str) -> None:
    """Write until killed."""
    async with open_database(place(where)) as database:
        context = Context(database)

        async def one_after_the_other() -> None:
            while True:
                issued = await credentials.add(context)
                os.write(1, f"{issued.value.id}\n".encode())

        await asyncio.gather(*(one_after_the_other() for _ in range(TASKS)))


def main(where: str) -> None:
    """Run one writer after the other."""
    import_module("asyncpg")  # which the store imports when it needs it
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(write(where))
            os._exit(0)
        os.write(1, f"started {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"ended\n")


if __name__ == "__main__":
    main(sys.argv[1])
