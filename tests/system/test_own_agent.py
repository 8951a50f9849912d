"""Our own agent, as library and as command, against the whole service."""

import asyncio
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import pytest_asyncio
from tests.kit.certificates import Authority
from tests.kit.eventually import eventually_async
from tests.kit.product import Service, agent_beside
from tests.kit.traffic import Answer, echo, exchange, get, hello_http, server, visitor

import portway
from portway.agent.events import AgentConnectSucceeded, AgentDisconnected, Event

pytestmark = pytest.mark.xdist_group("own")

MIB = 1 << 20
RECONNECT = 15.0
"""Seconds that the agent may take to be back after a restart."""


@pytest_asyncio.fixture
async def agent(service: Service) -> AsyncGenerator[portway.Agent]:
    """An agent in this process, not connected yet."""
    async with _agent(service) as agent:
        yield agent


def _agent(service: Service, *, token: str | None = None, heard: list[Event] | None = None) -> portway.Agent:
    known = service.bootstrap
    return portway.Agent(
        authtoken=known.authtoken if token is None else token,
        connect_url=known.connect_url,
        connect_cas=Path(known.ca_cert),
        event_handlers=[] if heard is None else [heard.append],
    )


@pytest.mark.row("G-002", "G-006", "G-100", "G-102", "G-118")
async def test_a_listener_is_served_by_the_application(service: Service, agent: portway.Agent) -> None:
    listener = await agent.listen()
    url = str(listener.url)

    async def serve() -> str:
        async with await listener.accept() as connection:
            await hello_http(connection.reader, connection.writer)
            return connection.remote_addr

    async def visit() -> tuple[Answer, str]:
        tls = ssl.create_default_context(cafile=service.bootstrap.ca_cert)
        async with visitor(_port(url), tls=tls, name=urlsplit(url).hostname) as (reader, writer):
            writer.write(f"GET /mine HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            host, port = writer.get_extra_info("sockname")[:2]
            return Answer(int(head.split()[1]), {}, body), f"{host}:{port}"

    seen, (answer, address) = await asyncio.wait_for(asyncio.gather(serve(), visit()), 30)
    assert url.startswith("https://")
    assert answer.status == 200
    assert answer.body.startswith(b"hello /mine")
    assert seen == address


@pytest.mark.row("G-046", "G-104", "G-125", "T-001", "S25", "A14")
async def test_fifty_mebibytes_and_half_close_through_tcp(agent: portway.Agent) -> None:
    async with server(echo) as upstream:
        forwarder = await agent.forward(f"127.0.0.1:{upstream}", url="tcp://")
        async with visitor(_port(str(forwarder.url))) as (reader, writer):
            result = await exchange(reader, writer, 50 * MIB, seed=3)
    assert result.received_hash == result.sent_hash
    assert (result.received, result.ended) == (50 * MIB, True)


@pytest.mark.row("G-103", "T-012")
async def test_a_tls_endpoint_passes_ciphertext(service: Service, agent: portway.Agent) -> None:
    name = f"sealed.{service.bootstrap.domain}"
    authority = Authority()
    async with server(echo, tls=authority.server_context(name)) as upstream:
        forwarder = await agent.forward(f"tcp://127.0.0.1:{upstream}", url=f"tls://{name}")
        port = _port(str(forwarder.url))
        async with visitor(port, tls=authority.client_context(), name=name) as (reader, writer):
            result = await exchange(reader, writer, 5 * MIB, seed=4)
    assert result.received_hash == result.sent_hash


@pytest.mark.row("G-001")
async def test_the_agent_is_part_of_this_process(service: Service, agent: portway.Agent) -> None:
    this = psutil.Process()
    before = {child.pid for child in this.children(recursive=True)}
    async with server(hello_http) as upstream:
        forwarder = await agent.forward(upstream)
        during = {child.pid for child in this.children(recursive=True)}
        answer = await _get(service, str(forwarder.url))
    assert answer.status == 200
    assert during == before


@pytest.mark.row("T-050")
async def test_an_upstream_on_another_host(agent: portway.Agent) -> None:
    async with server(echo, host="127.0.0.2") as upstream:
        forwarder = await agent.forward(f"127.0.0.2:{upstream}", url="tcp://")
        async with visitor(_port(str(forwarder.url))) as (reader, writer):
            result = await exchange(reader, writer, MIB, seed=5)
    assert result.received_hash == result.sent_hash


@pytest.mark.row("T-066", "T-068", "S26")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_listener_reads_the_proxy_header_before_the_visitor_speaks(
    agent: portway.Agent, version: int
) -> None:
    listener = await agent.listen("tcp://", proxy_protocol=version)
    port = _port(str(listener.url))
    async with visitor(port) as (reader, writer), await listener.accept() as connection:
        mine = writer.get_extra_info("sockname")[1]
        expected = (
            f"PROXY TCP4 127.0.0.1 127.0.0.1 {mine} {port}\r\n".encode()
            if version == 1
            else b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
            + bytes([127, 0, 0, 1] * 2)
            + struct.pack(">HH", mine, port)
        )
        header = await asyncio.wait_for(connection.reader.readexactly(len(expected)), 10)
        connection.writer.write(b"hello first")
        greeting = await asyncio.wait_for(reader.readexactly(11), 10)
        writer.write(b"and then you")
        answer = await asyncio.wait_for(connection.reader.readexactly(12), 10)
    assert header == expected
    assert (greeting, answer) == (b"hello first", b"and then you")


async def test_a_thousand_concurrent_streams(agent: portway.Agent) -> None:
    count = 1000
    everyone_is_here = asyncio.Barrier(count)

    async def greet_together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await everyone_is_here.wait()
        await echo(reader, writer)

    async with server(greet_together) as upstream, AsyncExitStack() as open_visitors:
        forwarder = await agent.forward(f"127.0.0.1:{upstream}", url="tcp://")
        port = _port(str(forwarder.url))
        pairs = [await open_visitors.enter_async_context(visitor(port)) for _ in range(count)]
        results = await asyncio.gather(
            *(exchange(reader, writer, 4096, seed) for seed, (reader, writer) in enumerate(pairs))
        )
    assert [result.received_hash for result in results] == [result.sent_hash for result in results]
    assert all(result.ended for result in results)


@pytest.mark.row("G-042", "G-083", "G-086", "S30")
async def test_what_is_closed_is_offline(service: Service, agent: portway.Agent) -> None:
    async with server(hello_http) as upstream:
        one = await agent.forward(upstream)
        two = await agent.forward(upstream)
        assert (await _get(service, str(one.url))).status == 200
        await one.close()
        closed = await _get(service, str(one.url))
        await agent.disconnect()
        disconnected = await _get(service, str(two.url))
    for answer in (closed, disconnected):
        assert (answer.status, answer.fields["ngrok-error-code"]) == (404, "ERR_NGROK_3200")
    assert one.done()
    assert two.done()
    assert agent.endpoints == []


@pytest.mark.row("G-126", "T-057", "T-093", "T-094")
async def test_an_unreachable_upstream(service: Service, agent: portway.Agent) -> None:
    async with server(hello_http) as upstream:
        web = await agent.forward(upstream)
        raw = await agent.forward(f"127.0.0.1:{upstream}", url="tcp://")
    answer = await _get(service, str(web.url))
    assert (answer.status, answer.fields["ngrok-error-code"]) == (502, "ERR_NGROK_8012")
    async with visitor(_port(str(raw.url))) as (reader, _):
        assert await asyncio.wait_for(reader.read(-1), 10) == b""
    assert agent.endpoints == [web, raw]


@pytest.mark.row("G-008", "G-040", "G-041", "G-054")
async def test_a_refused_token_is_raised_at_once(service: Service) -> None:
    right = service.bootstrap.authtoken
    cases = {"ERR_NGROK_107": right[:-4] + ("AAAA" if right[-4:] != "AAAA" else "BBBB"), "ERR_NGROK_4018": ""}
    for code, token in cases.items():
        async with _agent(service, token=token) as agent:
            with pytest.raises(portway.Error) as refused:
                await asyncio.wait_for(agent.connect(), 30)
            assert refused.value.code == code


@pytest.mark.row("T-028")
async def test_random_addresses_differ_and_close(agent: portway.Agent) -> None:
    ports = [_port(str((await agent.forward(1, url="tcp://")).url)) for _ in range(20)]
    assert len(set(ports)) == 20
    assert ports != sorted(ports)
    await agent.disconnect()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            async with visitor(port):
                pass


@pytest.mark.row("G-047", "G-073", "G-153", "G-154", "T-029", "S21", "S31", "A9")
@pytest.mark.parametrize("end", ["stopped", "killed"])
async def test_a_restarted_service_gives_the_same_urls(tmp_path: Path, end: str) -> None:
    heard: list[Event] = []
    service = Service(tmp_path)
    await asyncio.to_thread(service.start)
    try:
        async with server(hello_http) as upstream, _agent(service, heard=heard) as agent:
            endpoints = [
                await agent.forward(f"http://127.0.0.1:{upstream}"),
                await agent.forward(f"http://127.0.0.1:{upstream}", url="http://"),
                await agent.forward(f"127.0.0.1:{upstream}", url="tcp://"),
            ]
            before = [str(endpoint.url) for endpoint in endpoints]
            await asyncio.to_thread(lambda: service.restart(kill=end == "killed"))
            for url in before:
                await _comes_back(service, url)
            assert [str(endpoint.url) for endpoint in agent.endpoints] == before
    finally:
        await asyncio.to_thread(service.kill)
    kinds = [type(event) for event in heard if isinstance(event, AgentConnectSucceeded | AgentDisconnected)]
    assert kinds[0] is AgentConnectSucceeded
    assert AgentDisconnected in kinds[1:-1]
    assert AgentConnectSucceeded in kinds[kinds.index(AgentDisconnected) :]


@pytest.mark.row("T-020", "T-071")
@pytest.mark.parametrize("proto", ["http", "tcp", "tls"])
async def test_the_command_line(service: Service, proto: str) -> None:
    name = f"command.{service.bootstrap.domain}"
    authority = Authority()
    tls = authority.server_context(name) if proto == "tls" else None
    flags = ["--url", f"tls://{name}"] if proto == "tls" else []
    async with (
        server(hello_http, tls=tls) as upstream,
        agent_beside(service, proto, str(upstream), *flags) as (agent, url),
    ):
        trusted = authority.client_context() if proto == "tls" else _trust(service, url)
        answer = await get(url, _port(url), tls=trusted)
        status = await asyncio.to_thread(agent.stop)
    assert (answer.status, answer.body[:7]) == (200, b"hello /")
    assert urlsplit(url).scheme == {"http": "https"}.get(proto, proto)
    assert status == 0


async def _comes_back(service: Service, url: str) -> None:
    async def answers() -> bool:
        return (await _get(service, url)).status == 200

    await eventually_async(answers, f"{url} answers again", timeout=RECONNECT)


async def _get(service: Service, url: str) -> Answer:
    return await get(url, _port(url), tls=_trust(service, url))


def _trust(service: Service, url: str) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=service.bootstrap.ca_cert) if url.startswith("https") else None


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port
