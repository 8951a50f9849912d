"""Visitors of TCP endpoints over real sockets: every byte, both ends, and nothing but bytes."""

import asyncio
import hashlib
import random
import socket
from typing import Any

import pytest
from tests.kit.agent import Agent
from tests.kit.service import GRANT, Running, running_worker

from portway.codec import proxy_protocol
from portway.edge.ports import Limits
from portway.errors import ConfigError
from portway.model.event import TcpConnectionClosed
from portway.model.url import parse_endpoint_url
from portway.net.leg import reset


async def visit(bound: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a granted TCP endpoint."""
    assert not bound["Error"], bound
    return await asyncio.open_connection("127.0.0.1", parse_endpoint_url(bound["URL"]).port)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read to the end; a reset counts as one."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.row("T-001", "S24", "S25")
async def test_bytes_pass_both_ways_and_each_direction_ends_by_itself() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind(Metadata="m")
        reader, writer = await visit(bound)
        taken = await agent.visitor()
        header = taken.header
        assert header.id == bound["Id"]
        assert header.client_addr == "{}:{}".format(*writer.get_extra_info("sockname"))
        assert (header.proto, header.edge_type, header.passthrough_tls) == ("tcp", "0", False)
        writer.write(b"hello")
        assert await taken.read(5) == b"hello"
        writer.write_eof()
        assert await taken.rest() == b""
        taken.writer.write(b"late ")
        taken.finish(b"answer")
        assert await ended(reader) == b"late answer"
        writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert (event.bytes_in, event.bytes_out) == (5, 11)
        assert (event.account_id, event.endpoint_id, event.url) == (
            GRANT.account_id, bound["Id"], bound["URL"],
        )  # fmt: skip
        assert event.client_ip == "127.0.0.1"
        assert event.server_port == parse_endpoint_url(bound["URL"]).port
        assert event.end_ts >= event.start_ts
        assert event.error == ""
        [endpoint] = service.worker.registry.all()
        assert endpoint.counters.connections == 1
        assert (endpoint.counters.bytes_in, endpoint.counters.bytes_out) == (5, 11)


@pytest.mark.row("T-001")
async def test_servers_that_speak_first() -> None:
    async with running_worker() as service, service.connected() as agent:
        reader, writer = await visit(await agent.bind())
        taken = await agent.visitor()
        taken.writer.write(b"220 ready\r\n")
        assert await reader.readexactly(11) == b"220 ready\r\n"
        taken.finish()
        assert await ended(reader) == b""
        writer.write(b"still writing")
        assert await taken.read(13) == b"still writing"
        writer.close()


@pytest.mark.row("T-001")
async def test_large_transfers_arrive_whole_in_both_directions_at_once() -> None:
    data = random.Random(7).randbytes(3_000_000)
    async with running_worker() as service, service.connected() as agent:
        reader, writer = await visit(await agent.bind())
        taken = await agent.visitor()

        async def echo() -> None:
            while piece := await taken.reader.read(65_536):
                taken.writer.write(piece)
                await taken.writer.drain()
            taken.writer.write_eof()

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        async with asyncio.timeout(20), asyncio.TaskGroup() as both:
            both.create_task(echo())
            both.create_task(send())
            got = both.create_task(reader.read())
        assert hashlib.sha256(got.result()).digest() == hashlib.sha256(data).digest()
        writer.close()


@pytest.mark.row("S26", "T-068")
@pytest.mark.parametrize("version", [1, 2])
async def test_the_proxy_header_comes_first(version: int) -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("tcp", {"URL": "", "ProxyProto": version})
        _reader, writer = await visit(bound)
        client = "{}:{}".format(*writer.get_extra_info("sockname"))
        server = "{}:{}".format(*writer.get_extra_info("peername"))
        wanted = proxy_protocol.encode(version, client, server)
        taken = await agent.visitor()
        assert await taken.read(len(wanted)) == wanted  # before the visitor has said a word
        writer.write(b"then data")
        assert await taken.read(9) == b"then data"
        taken.finish()
        writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert event.bytes_in == 9


@pytest.mark.row("T-093", "T-094")
async def test_nobody_left_to_serve_closes_the_visitor_without_a_byte() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bound = await agent.bind()
        await agent.vanish()
        reader, writer = await visit(bound)
        writer.write(b"anybody?")
        assert await ended(reader) == b""
        writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert event.error
        assert event.bytes_out == 0


@pytest.mark.row("T-093")
async def test_a_lost_session_cuts_its_visitors() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        reader, writer = await visit(await agent.bind())
        await agent.visitor()
        await agent.vanish()
        assert await ended(reader) == b""
        writer.close()
        event = await service.events.next(TcpConnectionClosed)
        assert "code 14" in event.error


@pytest.mark.row("S25")
async def test_a_lost_visitor_cuts_its_stream() -> None:
    async with running_worker() as service, service.connected() as agent:
        _reader, writer = await visit(await agent.bind())
        taken = await agent.visitor()
        reset(writer.transport)
        with pytest.raises(ConnectionResetError):
            await taken.rest()
        await service.events.next(TcpConnectionClosed)


async def two_members(service: Running) -> tuple[Agent, Agent, dict[str, Any]]:
    """Two agents that serve one TCP endpoint."""
    one, two = service.agent(), service.agent(token="good2")
    for agent in (one, two):
        await agent.connect()
        await agent.auth()
    port = service.worker.config.tcp_ports[0]
    service.control.reserve_address(port)
    url = {"URL": f"tcp://localhost:{port}"}
    bound = await one.bind("tcp", url, PoolingEnabled=True)
    assert (await two.bind("tcp", url, PoolingEnabled=True))["Error"] == ""
    return one, two, bound


@pytest.mark.row("S12")
async def test_a_busy_agents_visitor_goes_to_another_member() -> None:
    async with running_worker() as service:
        one, two, bound = await two_members(service)
        one.takes = False
        for _ in range(8):
            reader, writer = await visit(bound)
            taken = await two.visitor()
            taken.finish(b"served")
            assert await ended(reader) == b"served"
            writer.close()
        assert one.visitors.empty()
        assert not one.closed.is_set()
        await one.leave()
        await two.leave()


@pytest.mark.row("S12")
async def test_when_all_are_busy_the_visitor_is_closed_and_the_session_lives() -> None:
    async with running_worker() as service, service.connected() as agent:
        agent.takes = False
        bound = await agent.bind()
        reader, writer = await visit(bound)
        assert await ended(reader) == b""
        writer.close()
        agent.takes = True
        reader, writer = await visit(bound)
        (await agent.visitor()).finish(b"now")
        assert await ended(reader) == b"now"
        writer.close()


@pytest.mark.row("G-115")
async def test_a_pool_serves_through_every_member() -> None:
    async with running_worker() as service:
        one, two, bound = await two_members(service)
        answers: set[bytes] = set()
        for _ in range(24):
            reader, writer = await visit(bound)
            # The chance that one of two members is never drawn in 24 is one in eight million.
            first, second = (asyncio.create_task(each.visitors.get()) for each in (one, two))
            await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
            served, idle = (first, second) if first.done() else (second, first)
            idle.cancel()
            await asyncio.wait((idle,))
            served.result().finish(b"1" if served is first else b"2")
            answers.add(await ended(reader))
            writer.close()
        assert answers == {b"1", b"2"}
        await one.leave()
        await two.leave()


@pytest.mark.row("S11")
async def test_official_agents_get_no_more_streams_than_they_bear() -> None:
    async with running_worker() as service:
        agent = service.agent(user_agent="ngrok-rust/0.14.0")
        await agent.connect()
        await agent.auth()
        bound = await agent.bind()
        visitors = [await visit(bound) for _ in range(480)]
        refused = 0
        for reader, _writer in visitors:
            refused += reader.at_eof()
        last_reader, last_writer = await visit(bound)
        assert await ended(last_reader) == b""
        assert agent.live.connection.streams < 512
        assert refused <= 8  # heartbeats and requests count too
        for _reader, writer in [*visitors, (last_reader, last_writer)]:
            writer.close()
        await agent.leave()


@pytest.mark.row("T-077")
async def test_any_name_that_leads_here_works_for_every_accounts_ports() -> None:
    async with (
        running_worker() as service,
        service.connected() as one,
        service.connected("other") as other,
    ):
        for agent in (one, other):
            bound = await agent.bind()
            port = parse_endpoint_url(bound["URL"]).port
            for name in ("localhost", "127.0.0.1", "127.1"):
                reader, writer = await asyncio.open_connection(name, port, family=socket.AF_INET)
                taken = await agent.visitor()
                assert taken.header.id == bound["Id"]
                taken.finish(name.encode())
                assert await ended(reader) == name.encode()
                writer.close()


async def test_quiet_visitors_are_cut() -> None:
    async with running_worker(limits=Limits(idle=0.1)) as service, service.connected() as agent:
        reader, writer = await visit(await agent.bind())
        await agent.visitor()
        assert await ended(reader) == b""
        writer.close()
        await service.events.next(TcpConnectionClosed)


async def test_stop_lets_visitors_finish() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bound = await agent.bind()
        reader, writer = await visit(bound)
        taken = await agent.visitor()
        stopping = asyncio.create_task(service.worker.stop())
        writer.write(b"last")
        assert await taken.read(4) == b"last"
        with pytest.raises(ConnectionRefusedError):
            await visit(bound)
        taken.finish(b"words")
        writer.write_eof()
        assert await ended(reader) == b"words"
        writer.close()
        await stopping
        await agent.gone()


async def test_a_listener_that_is_taken_names_the_flag() -> None:
    async with running_worker() as service:
        ports = service.worker.ports
        assert ports is not None
        taken = service.worker.http_port
        with pytest.raises(ConfigError, match="--tcp-ports"):
            await ports.open(taken)
        assert repr(ports) == "<TcpPorts []>"
