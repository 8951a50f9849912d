"""PROXY headers of a load balancer in front: who is believed, who is refused, and who visits then."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from tests.kit.agent import Agent, Taken
from tests.kit.pipes import spin_until
from tests.kit.service import DOMAIN, Events, Running, running_worker, settings
from tests.kit.tls_visitor import close_visitors, tls_visitor

from portway.codec.proxy_protocol import SIGNATURE, encode
from portway.edge.ends import Ends
from portway.edge.listener import Door, Edge
from portway.edge.ports import EdgeConfig, Limits
from portway.edge.proxied import arrivals, is_named
from portway.edge.registry import Registry
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.net.listen import listen
from portway.net.tasks import Tasks
from portway.net.tls import TlsPump, agent_context

PATIENCE = 10.0
CLIENT, SERVER = "192.0.2.7:4711", "198.51.100.1:443"
CLIENT_6, SERVER_6 = "[2001:db8::7]:4711", "[2001:db8::1]:443"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
ELSEWHERE = (ip_network("10.0.0.0/8"),)
HEADERS = [encode(1, CLIENT, SERVER), encode(2, CLIENT, SERVER)]
TLV = (
    SIGNATURE
    + b"\x21\x11"
    + (12 + 7).to_bytes(2, "big")
    + encode(2, CLIENT, SERVER)[16:]
    + b"\x02\x00\x04host"
)
LOCAL = [encode(2, "", ""), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"]


@asynccontextmanager
async def balanced(
    *, trusted: Any = LOOPBACK, header_within: float = 5.0
) -> AsyncGenerator[tuple[Running, Agent]]:
    """Run a service behind balancers in these networks, with an agent."""
    config = settings(proxy_from=trusted)
    async with (
        running_worker(config=config, limits=Limits(proxy_header=header_within, client_hello=5.0)) as service,
        service.connected() as agent,
    ):
        yield service, agent


async def say(
    port: int, *pieces: bytes, end: bool = False
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a port and say something in pieces."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    if end:
        writer.write_eof()
    return reader, writer


async def refused(port: int, *pieces: bytes, end: bool = False) -> bool:
    """Say something; tell whether the connection is closed without a byte."""
    reader, writer = await say(port, *pieces, end=end)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read() == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


def port_of(bound: dict[str, Any]) -> int:
    assert not bound["Error"], bound
    return int(bound["URL"].rpartition(":")[2])


async def served(taken: Taken, said: bytes) -> None:
    """Read what the visitor has said, and end both directions."""
    assert await taken.read(len(said)) == said
    taken.finish()


@pytest.mark.row("T-060")
@pytest.mark.parametrize("header", [*HEADERS, TLV], ids=["v1", "v2", "v2 with TLVs"])
async def test_the_visitor_that_the_header_names_is_who_visits_a_tcp_endpoint(header: bytes) -> None:
    async with balanced() as (service, agent):
        port = port_of(await agent.bind("tcp", {"URL": "", "ProxyProto": 1}))
        for pieces in ([header + b"hello"], [header[:5], header[5:20], header[20:], b"hello"]):
            _reader, writer = await say(port, *pieces)
            taken = await agent.visitor()
            assert taken.header.client_addr == CLIENT
            await served(taken, encode(1, CLIENT, SERVER) + b"hello")
            writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert (event.client_ip, event.client_port) == ("192.0.2.7", 4711)
        assert (event.server_ip, event.server_port) == ("198.51.100.1", 443)


@pytest.mark.row("T-060")
async def test_servers_that_speak_first_work_behind_a_balancer() -> None:
    async with balanced() as (_service, agent):
        port = port_of(await agent.bind())
        reader, writer = await say(port, encode(2, CLIENT_6, SERVER_6))
        taken = await agent.visitor()
        assert taken.header.client_addr == CLIENT_6
        taken.writer.write(b"220 ready\r\n")
        assert await reader.readexactly(11) == b"220 ready\r\n"
        writer.close()


@pytest.mark.parametrize("header", HEADERS, ids=["v1", "v2"])
async def test_http_upstreams_learn_of_the_visitor(header: bytes) -> None:
    async with balanced() as (service, agent):
        host = (await agent.bind("http", {"URL": f"http://a.{DOMAIN}"}))["URL"].partition("//")[2]
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n".encode()
        reader, writer = await say(service.http_port, header + request)
        taken = await agent.visitor()
        assert taken.header.client_addr == CLIENT
        head = await taken.reader.readuntil(b"\r\n\r\n")
        assert b"X-Forwarded-For: 203.0.113.5, 192.0.2.7\r\n" in head
        taken.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
        event = await service.events.next(HttpRequestComplete)
        assert (event.client_ip, event.client_port, event.server_ip) == ("192.0.2.7", 4711, "198.51.100.1")
        writer.close()


@pytest.mark.parametrize("ended", [False, True], ids=["passed through", "ended at the edge"])
async def test_tls_follows_the_header(ended: bool) -> None:
    name = f"t.{DOMAIN}"
    async with balanced() as (service, agent):
        await agent.bind("tls", {"URL": f"tls://{name}", **({"TLSTermination": {}} if ended else {})})
        pump = TlsPump(agent_context(service.certs.ca), server_side=False, server_hostname=name)
        pump.handshake()
        hello = pump.output()
        reader, writer = await say(service.https_port, encode(2, CLIENT, SERVER) + hello[:30], hello[30:])
        if not ended:
            taken = await agent.visitor()
            assert await taken.read(len(hello)) == hello
        else:
            while not pump.handshake():
                pump.received(await reader.read(65_536))
            writer.write(pump.output())
            taken = await agent.visitor()
        assert taken.header.client_addr == CLIENT
        writer.close()


@pytest.mark.parametrize("header", LOCAL)
async def test_a_balancer_may_speak_for_itself(header: bytes) -> None:
    async with balanced() as (_service, agent):
        port = port_of(await agent.bind())
        _reader, writer = await say(port, header + b"health")
        taken = await agent.visitor()
        assert taken.header.client_addr == "{}:{}".format(*writer.get_extra_info("sockname"))
        await served(taken, b"health")
        writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        [b"\x16\x03\x01\x00\x10"],
        [b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n"],
        [b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n"],
        [b"PROXY TCP4 " + b"1" * 200],
        [b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n"],
        [SIGNATURE + b"\x31\x11\x00\x0c" + b"x" * 12],
        [SIGNATURE + b"\x22\x11\x00\x0c" + b"x" * 12],
        [SIGNATURE + b"\x21\x11\xff\xff"],
        [SIGNATURE + b"\x21\x11\x00\x04" + b"x" * 4],
        [b"\r\n\r\n", b"GET"],
    ],
)
async def test_a_named_address_without_a_sound_header_is_refused(pieces: list[bytes]) -> None:
    async with balanced() as (service, agent):
        for port in (service.http_port, service.https_port, port_of(await agent.bind())):
            assert await refused(port, *pieces)
        assert agent.visitors.empty()


async def test_an_unfinished_header_is_waited_for_a_moment_only(caplog: pytest.LogCaptureFixture) -> None:
    async with balanced(header_within=0.1) as (service, agent):
        port = port_of(await agent.bind())
        with caplog.at_level(logging.WARNING, "portway.edge.proxied"):
            for pieces in ([], [b"PROXY TCP4 192"], [SIGNATURE[:5]]):
                assert await refused(port, *pieces)
        assert await refused(service.http_port, b"PROXY", end=True)
        assert agent.visitors.empty()
        assert caplog.text.count("named by --proxy-from") == 1  # once a minute is enough


async def test_from_other_addresses_a_header_is_a_visitors_own_bytes() -> None:
    async with balanced(trusted=ELSEWHERE) as (service, agent):
        port = port_of(await agent.bind())
        _reader, writer = await say(port, HEADERS[0])
        taken = await agent.visitor()
        assert taken.header.client_addr.startswith("127.0.0.1:")
        await served(taken, HEADERS[0])
        writer.close()
        reader, writer = await say(service.http_port, HEADERS[0] + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        visitor = await tls_visitor(service.https_port, agent_context(service.certs.ca), f"x.{DOMAIN}")
        await visitor.until(lambda: visitor.pump.secure)
        await close_visitors()


async def test_a_header_twice_is_one_header() -> None:
    async with balanced() as (_service, agent):
        port = port_of(await agent.bind())
        _reader, writer = await say(port, HEADERS[0] + HEADERS[1])
        await served(await agent.visitor(), HEADERS[1])
        writer.close()


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("10.1.2.3:5", True),
        ("[::ffff:10.1.2.3]:5", True),
        ("11.1.2.3:5", False),
        ("[fd00::1]:5", True),
        ("[fe80::1%eth0]:5", False),
        ("", False),
        ("/run/socket", False),
    ],
)
def test_who_is_named(address: str, named: bool) -> None:
    assert is_named(address, (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))) is named


@pytest.mark.parametrize("named", [True, False])
async def test_who_comes_before_the_service_is_ready_is_served_like_all_others(named: bool) -> None:
    door = Door()
    got: asyncio.Queue[tuple[Ends | None, bytes]] = asyncio.Queue()

    class Taker(asyncio.Protocol):
        def __init__(self, ends: Ends | None) -> None:
            self.ends = ends

        def data_received(self, data: bytes) -> None:
            got.put_nowait((self.ends, data))

    async with Tasks() as tasks:
        config = EdgeConfig(proxy_from=LOOPBACK if named else ELSEWHERE)
        edge = Edge(config, Registry(), Events(), tasks)
        listener = await listen("127.0.0.1", 0, door)
        _reader, writer = await say(listener.port, HEADERS[1] + b"early")
        await spin_until(lambda: repr(door) == "<Door 1 waiting>")
        door.open(arrivals(edge, Taker))
        async with asyncio.timeout(PATIENCE):
            ends, data = await got.get()
        assert ends == (Ends(CLIENT, SERVER) if named else None)
        assert data == (b"early" if named else HEADERS[1] + b"early")
        writer.close()
        listener.close()
