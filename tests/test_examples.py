"""Every example runs as its user would run it, against a live service, and is visited."""

import asyncio
import contextlib
import http.client
import json
import re
import ssl
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.product import Service, clean_environment
from tests.kit.traffic import Answer, get, hello_http, server

pytestmark = [pytest.mark.xdist_group("examples"), pytest.mark.row("G-018")]

EXAMPLES = Path(__file__).parent.parent / "examples"
PATIENCE = 30.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A home folder whose user runs a service."""
    folder = tmp_path_factory.mktemp("home")
    service = Service(folder, data=folder / ".local" / "share" / "portway")
    try:
        service.start()
        yield folder
    finally:
        service.kill()


class Example:
    """An example that runs."""

    def __init__(self, process: asyncio.subprocess.Process, ca: str) -> None:
        """Read what it prints."""
        self.process = process
        self.tls = ssl.create_default_context(cafile=ca)

    async def line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().strip()

    async def url(self) -> str:
        """Return the URL in the next line that has one."""
        while not (found := re.search(r"\w+://[^ ]+", line := await self.line())):
            assert line, "the example ended without a URL"
        return found.group()

    async def get(self, url: str, path: str = "/") -> Answer:
        """Visit a web page of it."""
        return await get(url + path, urlsplit(url).port or 0, tls=self.tls)

    async def talk(self, url: str, text: bytes) -> bytes:
        """Send something to a TCP address of it; return all that comes back."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(text)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        return answer


def bootstrap(home: Path) -> dict[str, str]:
    return json.loads((home / ".local" / "share" / "portway" / "bootstrap.json").read_text())


@contextlib.asynccontextmanager
async def running(home: Path, name: str, *arguments: str) -> AsyncGenerator[Example]:
    """Run an example for the time of the context."""
    kept = {key: value for key, value in clean_environment().items() if not key.startswith("XDG_")}
    with (home / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / f"{name}.py"),
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=kept | {"HOME": str(home)},
        )
    try:
        yield Example(process, bootstrap(home)["ca_cert"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("http_listener", "/", "Hello from portway\n"),
        ("fastapi_app", "/hello/you", '{"hello":"you"}'),
        ("flask_app", "/hello/you", "Hello you from 127.0.0.1\n"),
        ("wsgi_app", "/here", "Hello 127.0.0.1, you asked for /here\n"),
        ("third_party_server", "/", "Hello by uvicorn\n"),
    ],
)
async def test_web_applications(home: Path, name: str, path: str, expected: str) -> None:
    async with running(home, name) as example:
        answer = await example.get(await example.url(), path)
        assert (answer.status, answer.body.decode()) == (200, expected)


async def test_tcp_echo(home: Path) -> None:
    async with running(home, "tcp_echo") as example:
        assert await example.talk(await example.url(), b"there and back") == b"there and back"


async def test_forward(home: Path) -> None:
    async with server(hello_http) as upstream, running(home, "forward", str(upstream)) as example:
        answer = await example.get(await example.url(), "/read")
        assert answer.body.startswith(b"hello /read")
        assert (await example.line()).startswith("connection from 127.0.0.1:")
        assert re.fullmatch(r"GET /read 200 \d+ ms", await example.line())


async def test_several_endpoints(home: Path) -> None:
    async with server(hello_http) as upstream, running(home, "several_endpoints", str(upstream)) as example:
        urls = {urlsplit(url).scheme: url for url in (await example.url(), await example.url())}
        assert (await example.get(urls["https"])).status == 200
        assert await example.talk(urls["tcp"], b"") == b"hello\n"


async def test_events_on_a_queue(home: Path) -> None:
    async with server(hello_http) as upstream, running(home, "event_queue", str(upstream)) as example:
        await example.get(await example.url())
        missing = {"ConnectionOpened", "HTTPRequestComplete", "AgentHeartbeatReceived"}
        async with asyncio.timeout(PATIENCE):
            while missing:
                missing.discard((await example.line()).split()[-1])


async def test_a_plain_script(home: Path) -> None:
    async with running(home, "plain_script") as example:
        url = await example.url()
        for number in (1, 2, 3):
            assert await example.talk(url, b"Ann\n") == f"hello Ann, you are number {number}\n".encode()
        assert await asyncio.wait_for(example.process.wait(), PATIENCE) == 0


async def test_a_traffic_policy(home: Path) -> None:
    async with server(hello_http) as upstream, running(home, "traffic_policy", str(upstream)) as example:
        url = await example.url()
        assert (await example.get(url, "/tea")).body.startswith(b"hello /tea")
        answer = await example.get(url, "/teapot/1")
        assert (answer.status, answer.body) == (418, b"a teapot, GET\n")


@pytest.mark.row("G-171", "G-173", "G-175")
async def test_remote_commands(home: Path) -> None:
    async with running(home, "remote_commands") as example:
        session = (await example.line()).split()[0]
        status, text = await asyncio.to_thread(command, home, session, "update")
        assert status == 400
        assert "next deployment" in text
        assert await example.line() == f"{session} UpdateAgent"
        assert (await asyncio.to_thread(command, home, session, "restart"))[0] in (200, 204)
        assert await example.line() == f"{session} RestartAgent"
        again = (await example.line()).split()[0]
        assert again != session


def command(home: Path, session: str, what: str) -> tuple[int, str]:
    """Send a command to a session through the API."""
    known = bootstrap(home)
    url = urlsplit(known["http_url"])
    connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=PATIENCE)
    headers = {
        "Host": f"api.{known['domain']}:{url.port}",
        "Authorization": f"Bearer {known['api_key']}",
        "Content-Type": "application/json",
        "Ngrok-Version": "2",
    }
    try:
        connection.request("POST", f"/tunnel_sessions/{session}/{what}", b"{}", headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
