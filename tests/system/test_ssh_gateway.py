"""Stock OpenSSH through the SSH gateway of a whole service: the documented lines, bulk, the API, ends."""

import asyncio
import base64
import contextlib
import os
import pty
import re
import shlex
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.kit.eventually import eventually
from tests.kit.openssh import Ssh, gateway, gateway_port, ssh
from tests.kit.product import Service
from tests.kit.programs import need
from tests.kit.rest import Rest
from tests.kit.traffic import echo, get, hello_http, server, visitor

pytestmark = pytest.mark.xdist_group("ssh-gateway")

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FENCES = re.findall(r"<!-- snippet: ssh -->\n```sh\n(.*?)```", (DOCS / "ssh.md").read_text(), re.DOTALL)
TABLES = re.findall(r"^\| SSH \| `(ssh .+)` \|$", (DOCS / "tcp.md").read_text(), re.MULTILINE)
"""What the tables of TCP endpoints say of SSH."""
LINES = list(dict.fromkeys([*(line for fence in _FENCES for line in fence.splitlines()), *TABLES]))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all; it may fetch policies from this machine."""
    with gateway(tmp_path_factory.mktemp("ssh"), "--outgoing-allow", "127.0.0.1/32") as service:
        yield service


@contextlib.asynccontextmanager
async def online(service: Service, line: str, upstream: int) -> AsyncGenerator[tuple[Ssh, str]]:
    """Run a documented line, its hosts and ports replaced by what there is here."""
    fixed = re.search(r"-R (1\.tcp\.example\.com:12345|localhost:20011):", line)
    if fixed:
        line = line.replace(fixed[1], Rest(service).address()["addr"])
    line = line.replace("connect.example.com", "127.0.0.1")
    line = line.replace("app.example.com", "app.portway.localhost")
    line = re.sub(r":localhost:\d+ ", f":localhost:{upstream} ", line)
    line = re.sub(r":192\.168\.1\.2:\d+", f":127.0.0.2:{upstream}", line)
    with ssh(service, *shlex.split(line)[1:]) as run:
        yield run, await asyncio.to_thread(run.url)


def test_three_of_the_four_uses_have_a_line() -> None:
    assert len(TABLES) == 3, "a PROXY header is refused"


@pytest.mark.row("T-022", "T-033", "T-052", "T-097", "K-31")
@pytest.mark.parametrize("line", LINES)
async def test_the_documented_lines(service: Service, line: str) -> None:
    host = "127.0.0.2" if "192.168" in line else "127.0.0.1"
    plain = " http" in line
    async with server(hello_http if plain else echo, host=host) as upstream:
        async with online(service, line, upstream) as (run, url):
            parts = urlsplit(url)
            if parts.scheme == "tcp":
                async with visitor(parts.port or 0) as (reader, writer):
                    writer.write(b"through ssh")
                    assert await asyncio.wait_for(reader.readexactly(11), 20) == b"through ssh"
                if "-R 0:" in line:
                    assert f"Allocated port {parts.port}" in run.said
                else:
                    reserved = Rest(service).done("GET", "/reserved_addrs")["reserved_addrs"]
                    assert url in {f"tcp://{each['addr']}" for each in reserved}
            elif parts.scheme == "http":
                assert (await get(f"{url}/x", parts.port or 0)).body.startswith(b"hello /x")
            (endpoint,) = Rest(service).done("GET", "/endpoints")["endpoints"]
            assert endpoint["public_url"] == url
        eventually(lambda: not Rest(service).done("GET", "/endpoints")["endpoints"], "it is offline")


@pytest.mark.row("K-31")
async def test_flags_are_carried_out(service: Service) -> None:
    """They are the options of an agent's bind, and judged and enforced as those."""
    words = "http --basic-auth user:password1 --response-header-add x-by:ssh"
    async with server(hello_http) as upstream:
        with ssh(service, "-R", f"80:localhost:{upstream}", "127.0.0.1", words) as run:
            url = await asyncio.to_thread(run.url)
            port = urlsplit(url).port or 0
            assert (await get(url, port)).status == 401
            async with visitor(port) as (reader, writer):
                host = urlsplit(url).netloc
                credentials = base64.b64encode(b"user:password1").decode()
                writer.write(
                    f"GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"x-by: ssh" in answer.lower()


@pytest.mark.row("K-31")
async def test_a_policy_by_its_url(service: Service) -> None:
    """The service fetches it: here from this machine, which its operator has allowed."""

    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        policy = (
            b"on_http_request: [{actions: [{type: custom-response, config: {status_code: 418, body: tea}}]}]"
        )
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(policy), policy))
        await writer.drain()
        writer.close()

    async with server(page) as port:
        flag = f"--traffic-policy-url=http://127.0.0.1:{port}/p.yml"
        with ssh(service, "-R", "80:localhost:1", "127.0.0.1", "http", flag) as run:
            url = await asyncio.to_thread(run.url)
            answer = await get(url, urlsplit(url).port or 0)
        assert (answer.status, answer.body) == (418, b"tea")
    with ssh(service, "-R", "80:localhost:1", "127.0.0.1", "http", flag) as run:
        assert await asyncio.to_thread(run.status) == 1
        assert "ERR_NGROK_9026" in run.said


async def test_an_upstream_that_is_not_there(service: Service) -> None:
    with ssh(service, "-R", "80:localhost:1", "127.0.0.1", "http") as run:
        url = await asyncio.to_thread(run.url)
        assert (await get(url, urlsplit(url).port or 0)).status == 502


@pytest.mark.row("K-31")
async def test_the_api_shows_and_stops_it(service: Service) -> None:
    api = Rest(service)
    with ssh(service, "-R", "443:localhost:1", "127.0.0.1", "http") as run:
        await asyncio.to_thread(run.url)
        (session,) = api.done("GET", "/tunnel_sessions")["tunnel_sessions"]
        assert session["transport"] == "ssh"
        assert session["credential"]["id"].startswith("sshcr_")
        for what, code in (("restart", "1122"), ("update", "1121")):
            assert api.call("POST", f"/tunnel_sessions/{session['id']}/{what}", {}).code == code
        api.done("POST", f"/tunnel_sessions/{session['id']}/stop", {})
        assert await asyncio.to_thread(run.status) == 0


@pytest.mark.row("T-063", "K-31")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-R", "0:localhost:1", "v2@127.0.0.1", "tcp", "--proxy-proto=1"), "1109"),
        (("-R", "0:localhost:1", "v2@127.0.0.1", "tcp", "--proxy-proto=7"), "1123"),
        (("-R", "0:localhost:1", "v1@127.0.0.1", "tcp"), "1106"),
        (("-R", "0:localhost:1", "127.0.0.1"), "1107"),
        (("-R", "0:localhost:1", "-R", "443:localhost:2", "127.0.0.1", "http"), "1105"),
        (("-R", "foreign.test:443:localhost:1", "127.0.0.1", "http"), "319"),
    ],
)
def test_refusals_have_a_code_and_a_status(service: Service, words: tuple[str, ...], code: str) -> None:
    with ssh(service, *words) as run:
        assert run.status() == 1, run.said
        assert f"ERR_NGROK_{code}" in run.said


def test_a_stranger_is_told_why(service: Service) -> None:
    with ssh(service, "-R", "0:localhost:1", "127.0.0.1", "tcp", key="stranger", batch=False) as run:
        assert run.status() == 255
        assert "Received disconnect" in run.said
        assert "ERR_NGROK_1102" in run.said


def test_ctrl_c_on_a_terminal(service: Service) -> None:
    master, slave = pty.openpty()
    known = service.data / "ssh_known_hosts"
    process = subprocess.Popen(
        [need("ssh"), "-F", "none", "-t", "-p", gateway_port(service), "-i", str(service.folder / "id"),
         "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={known}",
         "-R", "443:localhost:1", "127.0.0.1", "http"],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    try:
        while b"0 open" not in seen:
            seen += os.read(master, 4096)
        assert b"(Ctrl+C to quit)" in seen
        os.write(master, b"\x03")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize("size", [32 << 20, pytest.param(1 << 30, marks=pytest.mark.long)])
async def test_bulk_in_flat_memory(service: Service, size: int) -> None:
    """Through the gateway and back, with a reader that begins late."""
    block = os.urandom(1 << 20)
    async with server(echo) as upstream, online(service, LINES[0], upstream) as (_, url):
        before = service.rss()
        async with visitor(urlsplit(url).port or 0) as (reader, writer):
            done = asyncio.Event()

            async def send() -> None:
                for _ in range(size >> 20):
                    writer.write(block)
                    await writer.drain()
                    done.set()

            sending = asyncio.ensure_future(send())
            await done.wait()
            most = 0
            for _ in range(size >> 20):
                assert await asyncio.wait_for(reader.readexactly(1 << 20), 60) == block
                most = max(most, service.rss())
            await sending
        assert most - before < 24 << 20, f"{(most - before) >> 20} MiB more"


async def test_a_deleted_key_ends_its_session(service: Service) -> None:
    api, folder = Rest(service), service.folder
    made = api.done("POST", "/ssh_credentials", {"public_key": (folder / "stranger.pub").read_text().strip()})
    with ssh(service, "-R", "443:localhost:1", "127.0.0.1", "http", key="stranger") as run:
        await asyncio.to_thread(run.url)
        api.done("DELETE", f"/ssh_credentials/{made['id']}")
        assert await asyncio.to_thread(run.status) == 1
        assert "no longer registered" in run.said
