"""The REST API in this process: requests go straight to the ASGI application, over a real store.

::

    async with running_api(tmp_path) as api:
        made = await api.post("/credentials", {"description": "laptop"})
        assert made.status == 201
        assert (await api.get(f"/credentials/{made['id']}")).json == …
        other = await api.other_account()      # the same API, called by somebody else
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

from portway.control.api.app import make_app
from portway.control.api.auth import Doorkeeper
from portway.control.api.gate import Gate
from portway.control.certificates.seal import KEY_FILE, Seal
from portway.control.ports import Agents
from portway.control.service import accounts, api_keys
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store.database import open_database
from portway.server.api_server import serve
from tests.kit.store import Clock, opened, place

BASE = "http://api.portway.localhost:7080"
"""The public base URL of the API in these tests, unless settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """The number of its error code, 0 for none."""
        return int(self.json.get("error_code", "ERR_NGROK_0").rpartition("_")[2]) if self.body else 0

    def __getitem__(self, name: str) -> Any:
        """Return a field of the body."""
        return self.json[name]

    def without_operation(self) -> tuple[int, dict[str, str], bytes]:
        """Return all of it but the operation id: what must be equal where nothing may be told."""
        operation = self.headers["ngrok-operation-id"]
        headers = {name: value for name, value in self.headers.items() if name != "ngrok-operation-id"}
        return self.status, headers, self.body.replace(operation.encode(), b"op_")


class Api:
    """One caller of an API."""

    def __init__(self, app: Gate, context: Context, key: str, account_id: str) -> None:
        """Call with a key."""
        self.app = app
        self.context = context
        self.key = key
        self.account_id = account_id

    async def other_account(self, name: str = "other") -> "Api":
        """Return the same API as somebody else calls it."""
        account = await accounts.add(self.context, name)
        issued = await api_keys.add(self.context, account.id)
        return Api(self.app, self.context, issued.token, account.id)

    def with_key(self, key: str) -> "Api":
        """Return the same API called with another key."""
        return Api(self.app, self.context, key, self.account_id)

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.send("GET", path)

    async def post(self, path: str, body: object = None) -> Answer:
        """POST a value as JSON; None sends no body."""
        return await self.send("POST", path, body)

    async def patch(self, path: str, body: object) -> Answer:
        """PATCH a value as JSON."""
        return await self.send("PATCH", path, body)

    async def delete(self, path: str) -> Answer:
        """DELETE."""
        return await self.send("DELETE", path)

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Send a request. ``body``: bytes as they are, all else as JSON. A header of None is left out."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        wanted: dict[str, str | None] = {
            "host": "api.portway.localhost",
            "authorization": f"Bearer {self.key}",
            "ngrok-version": "2",
        }
        if content:
            wanted |= {"content-type": "application/json", "content-length": str(len(content))}
        given = {name: value for name, value in (wanted | dict(headers or {})).items() if value is not None}
        return await ask(self.app, method, path, content, given)


async def ask(app: Gate, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
    """Send one request to an application, as the server in front of it does."""
    plain, _, query = path.partition("?")
    coming = [{"type": "http.request", "body": content, "more_body": False}]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return coming.pop() if coming else await asyncio.get_running_loop().create_future()

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": plain,
        "raw_path": plain.encode(),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": None,
        "server": None,
    }
    await app(scope, receive, send)
    start = sent[0]
    return Answer(
        start["status"],
        {name.decode(): value.decode("latin-1") for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def _migrated(folder: Path) -> None:
    """Put an empty SQLite store into a folder: its migrations are run once a process, not once a test."""
    where = place(folder)
    if isinstance(where, Path) and not where.exists():
        where.write_bytes(_empty_store())
        where.chmod(0o600)


@cache
def _empty_store() -> bytes:
    async def make(file: Path) -> None:
        async with open_database(file):
            pass

    with TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        # A thread, because a test's event loop may be running in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, make(file)).result()
        return file.read_bytes()


@asynccontextmanager
async def running_api(
    folder: Path,
    *,
    clock: Clock | None = None,
    doorkeeper: Doorkeeper | None = None,
    agents: Agents | None = None,
    **settings: Any,
) -> AsyncGenerator[Api]:
    """Run an API over a fresh store, with one account; ``settings`` replace those of a laptop."""
    _migrated(folder)
    async with opened(folder, clock) as plain:
        seal = Seal(folder / KEY_FILE)
        context = replace(plain, settings=Settings(**settings), seal=seal, agents=agents or plain.agents)
        account = await accounts.add(context, "owner")
        issued = await api_keys.add(context, account.id)
        yield Api(make_app(context, doorkeeper=doorkeeper), context, issued.token, account.id)


@contextmanager
def serving_api(folder: Path, **settings: Any) -> Generator[tuple[str, Api]]:
    """Serve an API over TCP, in a thread with a loop of its own; give its URL and a caller's key.

    The caller is for its key and account only: its loop is not the test's.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any], Api]] = Future()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ours = listening.dup()

        async def run() -> None:
            async with running_api(folder, api_url=url, **settings) as api:
                loop = asyncio.get_running_loop()
                task = loop.create_task(serve(api.context, ours))
                started.set_result((loop, task, api))
                await task

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(asyncio.run, run())
            loop, task, api = started.result()
            try:
                yield url, api
            finally:
                loop.call_soon_threadsafe(task.cancel)
                running.result()
