"""The API starts when somebody calls it, and not before."""

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from portway.control.service.context import Context
from portway.control.store.database import open_database
from portway.server import api


async def test_the_api_is_loaded_by_its_first_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = asyncio.Event()
    serving: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    class Server(ModuleType):
        async def serve(self, _context: Context, listening: socket.socket) -> None:
            serving.set_result(listening)
            await asyncio.Event().wait()

    def fake() -> ModuleType:
        loop.call_soon_threadsafe(prepared.set)
        return Server("fake")

    monkeypatch.setattr(api, "_prepared", fake)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    async with open_database(tmp_path / "db") as database:
        task = asyncio.create_task(api.keep_serving(Context(database), listening.fileno()))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not prepared.is_set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.connect(str(tmp_path / "s"))
            await asyncio.wait_for(prepared.wait(), 30)
            mine = await asyncio.wait_for(serving, 30)
            with mine, mine.accept()[0] as accepted:  # the caller was not lost meanwhile
                assert accepted
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    listening.close()


def test_the_controller_loads_neither_the_api_nor_what_a_new_store_can_do_without(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys, pathlib
import portway.server.controller
from portway.control.store.database import open_database

async def main():
    async with open_database(pathlib.Path({str(tmp_path / "new.db")!r})):
        print({{"fastapi", "uvicorn", "alembic", "sqlalchemy.orm"}} & set(sys.modules))

asyncio.run(main())
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "set()"
