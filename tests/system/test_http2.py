"""HTTP/2 through the whole service and our agent, with the clients that people use."""

import asyncio
import hashlib
import json
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from tests.kit.certificates import Authority
from tests.kit.product import Service
from tests.kit.programs import need
from tests.kit.sdk import SDKS, Sdk
from tests.kit.traffic import server

import portway

pytestmark = pytest.mark.xdist_group("http2")

PATIENCE = 30.0


@pytest_asyncio.fixture
async def agent(service: Service) -> AsyncGenerator[portway.Agent]:
    """An agent in this process."""
    known = service.bootstrap
    async with portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=Path(known.ca_cert)
    ) as agent:
        yield agent


async def forwarded(agent: portway.Agent, upstream: object) -> str:
    """Bring an https endpoint online; return its host."""
    forwarder = await agent.forward(upstream)  # type: ignore[arg-type]
    return urlsplit(str(forwarder.url)).hostname or ""


async def run(program: str, *arguments: str) -> str:
    """Run a program to its end; return what it printed."""
    path = program if "/" in program else str(need(program))
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with the sum of its body."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            return
        body = b""
        if b"transfer-encoding: chunked" in head:
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        elif b"content-length: " in head:
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        answer = hashlib.sha256(body).hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()


# -- HTTP/1 upstreams


async def test_curl(service: Service, agent: portway.Agent, tmp_path: Path) -> None:
    """ALPN gives HTTP/2; a body of 8 MB arrives whole; several requests share a connection."""
    body = random.Random(1).randbytes(8_000_000)
    (tmp_path / "body").write_bytes(body)
    known = service.bootstrap
    async with server(echo) as port:
        host = await forwarded(agent, port)
        url = f"https://{host}:{known.https_port}/"
        said = await run(
            "curl", "--silent", "--show-error", "--http2", "--cacert", known.ca_cert,
            "--resolve", f"{host}:{known.https_port}:127.0.0.1", "--data-binary", f"@{tmp_path / 'body'}",
            "--write-out", " %{http_version} %{num_connects}\n", url, url,
        )  # fmt: skip
        digest = hashlib.sha256(body).hexdigest()
        assert said.splitlines() == [f"{digest} 2 1", f"{digest} 2 0"]


async def test_h2load(service: Service, agent: portway.Agent) -> None:
    """Many streams at a time over few connections, none lost."""
    known = service.bootstrap
    async with server(echo) as port:
        host = await forwarded(agent, port)
        said = await run(
            "h2load", "-n", "600", "-c", "3", "-m", "20", f"--connect-to=127.0.0.1:{known.https_port}",
            f"https://{host}:{known.https_port}/",
        )  # fmt: skip
        assert "600 succeeded, 0 failed" in said, said
        assert "Application protocol: h2" in said


# -- HTTP/2 upstreams


CALLS = {
    "unary": "hello",
    "began": "1",
    "trailer": "t",
    "failed": ["FAILED_PRECONDITION", "on request"],
    "counted": True,
    "summed": 5_000_000,
    "talk": ["ONE", "TWO", "THREE"],
    "talk_ended": True,
    "talk_status": "OK",
}


@pytest.mark.row("G-132")
@pytest.mark.parametrize("tls", [False, True])
async def test_grpc(service: Service, agent: portway.Agent, tmp_path: Path, tls: bool) -> None:
    """Unary with metadata and trailers, statuses, deadlines, streams in each direction."""
    known = service.bootstrap
    pair: list[str] = []
    if tls:
        chain, key = Authority().issue("localhost")
        for name, content in (("key", key), ("chain", chain)):
            (tmp_path / name).write_bytes(content)
            pair.append(str(tmp_path / name))
    async with grpc_server(*pair) as port:
        addr = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        host = await forwarded(agent, portway.Upstream(addr, protocol="http2", verify=False))
        where = (host, str(known.https_port), known.ca_cert)
        found = json.loads(await run(sys.executable, "-m", "tests.kit.grpc_peers", "visit", *where))
    assert found.pop("late")[0] == "DEADLINE_EXCEEDED"
    assert found == CALLS


@pytest.mark.row("G-132")
@pytest.mark.parametrize("kind", SDKS)
async def test_grpc_through_an_official_sdk(service: Service, kind: str) -> None:
    known = service.bootstrap
    async with grpc_server() as port:
        with Sdk(kind, service) as sdk:
            await asyncio.to_thread(sdk.connect)
            url = await asyncio.to_thread(
                sdk.forward, "https", f"http://localhost:{port}", app_protocol="http2"
            )
            where = (urlsplit(url).hostname or "", str(known.https_port), known.ca_cert)
            found = json.loads(await run(sys.executable, "-m", "tests.kit.grpc_peers", "visit", *where))
    assert found.pop("late")[0] == "DEADLINE_EXCEEDED"
    assert found == CALLS


@asynccontextmanager
async def grpc_server(*pair: str) -> AsyncGenerator[int]:
    """Run a gRPC server in a process of its own; give its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.grpc_peers", "serve", *pair, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.kill()
        await process.wait()
