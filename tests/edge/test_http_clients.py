"""Real clients and real servers through the edge: curl, http.client, websockets."""

import asyncio
import hashlib
import http.client
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
from tests.kit.certs import Certs, make_certs
from tests.kit.http_edge import HOST, Stand, stand
from tests.kit.http_forward import ForwardingAgent
from tests.kit.programs import need
from tests.kit.traffic import server

BIG = random.Random(4).randbytes(20_000_000)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def certs() -> Certs:
    return make_certs(HOST)


@asynccontextmanager
async def forwarding(port: int, certs: Certs | None = None) -> AsyncGenerator[Stand]:
    """Open an edge whose only agent forwards to a port of loopback."""
    async with stand(certs=certs) as made:
        made.endpoint.pool.remove(made.agent)
        agent = ForwardingAgent(port)
        made.endpoint.pool.add(agent)
        try:
            yield made
        finally:
            for visitor in made.edge.visitors:
                visitor.cut()
            await agent.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with its body, under the framing that the request came with."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        lower = head.lower()
        if b"expect: 100-continue" in lower:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"transfer-encoding: chunked" in lower:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                line = await reader.readline()
                size = int(line.split(b";")[0], 16)
                writer.write(line + await reader.readexactly(size + 2))
                await writer.drain()
                if not size:
                    break
        else:
            size = (
                int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
                if b"content-length" in lower
                else 0
            )
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while size:
                piece = await reader.read(min(size, 65_536))
                size -= len(piece)
                writer.write(piece)
                await writer.drain()


async def curl(made: Stand, *options: str, tls: Path | None = None) -> bytes:
    """Run curl against the endpoint; return its output."""
    url = f"http{'s' if tls else ''}://{HOST}:{made.port}/"
    command = [str(need("curl")), "-sS", "--max-time", "60", "--resolve", f"{HOST}:{made.port}:127.0.0.1"]
    command += ["--cacert", str(tls)] if tls else []
    process = await asyncio.create_subprocess_exec(
        *command, url, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, problem = await process.communicate()
    assert process.returncode == 0, problem.decode()
    return out


@pytest.mark.row("G-125")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("framing", ["Content-Length: 20000000", "Transfer-Encoding: chunked"])
async def test_curl_sends_and_gets_back_twenty_megabytes(
    certs: Certs, tmp_path: Path, framing: str, tls: bool
) -> None:
    there = tmp_path / "there"
    there.write_bytes(BIG)
    (tmp_path / "ca.pem").write_bytes(certs.ca)
    async with server(echo) as port, forwarding(port, certs if tls else None) as made:
        back = await curl(
            made,
            "-H",
            framing,
            "-H",
            "Expect: 100-continue",
            "--data-binary",
            f"@{there}",
            tls=tmp_path / "ca.pem" if tls else None,
        )
        assert hashlib.sha256(back).digest() == hashlib.sha256(BIG).digest()


@pytest.mark.row("G-126")
async def test_curl_sees_8012_while_the_upstream_is_away_and_not_after() -> None:
    async with server(echo) as port:
        pass  # a port on which nobody listens now
    async with forwarding(port) as made:
        seen = (await curl(made, "-i", "-H", "Accept: text/html")).decode()
        assert seen.startswith("HTTP/1.1 502 Bad Gateway\r\n")
        assert "\r\nngrok-error-code: ERR_NGROK_8012\r\n" in seen
        assert "<h1>Service not reachable</h1>" in seen
        async with server(echo) as again:
            made.endpoint.pool.remove(made.endpoint.pool.members[0])
            agent = ForwardingAgent(again)
            made.endpoint.pool.add(agent)
            assert await curl(made, "-d", "back") == b"back"
            await agent.close()


async def test_curl_speaks_http_1_0_and_head() -> None:
    async with server(echo) as port, forwarding(port) as made:
        assert await curl(made, "--http1.0", "-d", "old") == b"old"
        assert (await curl(made, "-I")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_http_client_keeps_its_connection() -> None:
    def talk(port: int) -> list[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        bodies: list[bytes] = []
        for number in range(50):
            connection.request("POST", f"/{number}", body=b"%d" % number, headers={"Host": HOST})
            bodies.append(connection.getresponse().read())
        connection.close()
        return bodies

    async with server(echo) as port, forwarding(port) as made:
        assert await asyncio.to_thread(talk, made.port) == [b"%d" % number for number in range(50)]
        assert len(made.edge.visitors) == 1


@pytest.mark.row("G-102")
@pytest.mark.parametrize("tls", [False, True])
async def test_websocket_messages_both_ways_and_a_clean_close(certs: Certs, tls: bool) -> None:
    async def repeat(socket: websockets.asyncio.server.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.asyncio.server.serve(repeat, "127.0.0.1", 0, max_size=None) as served:
        port = next(iter(served.sockets)).getsockname()[1]
        async with forwarding(port, certs if tls else None) as made:
            url = f"ws{'s' if tls else ''}://{HOST}:{made.port}/"
            async with websockets.asyncio.client.connect(
                url,
                host="127.0.0.1",
                port=made.port,
                ssl=certs.client if tls else None,
                max_size=None,
                proxy=None,
            ) as socket:
                for message in ("text", b"bytes", BIG[:3_000_000]):
                    await socket.send(message)
                    assert await socket.recv() == message
                await socket.ping()
            assert socket.close_code == 1000
            event = await made.request_told()
            assert (event.status, event.aborted) == (101, False)
