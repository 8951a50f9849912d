"""Visitors whose bytes nobody reads: protocols of every habit pass, quiet ones are cut in the end.

Each protocol is the beginning of a real conversation, byte for byte as its specification has it.
"""

import asyncio
from typing import Any, NamedTuple

import pytest
from tests.kit.agent import Agent, Taken
from tests.kit.service import Running, running_worker

from portway.edge.listener import Edge
from portway.edge.serving import Serving
from portway.model.event import TcpConnectionClosed
from portway.model.url import parse_endpoint_url

PATIENCE = 10.0
SERVER, CLIENT = "server", "client"


class Protocol(NamedTuple):
    """A conversation: who says what, in turn."""

    name: str
    steps: list[tuple[str, bytes]]


VNC = Protocol(
    "VNC",
    [
        (SERVER, b"RFB 003.008\n"),
        (CLIENT, b"RFB 003.008\n"),
        (SERVER, b"\x01\x01"),
        (CLIENT, b"\x01"),
        (SERVER, b"\x00\x00\x00\x00"),
    ],
)
RDP = Protocol(
    "RDP",
    [
        (CLIENT, bytes.fromhex("030000130ee000000000000100080003000000")),
        (SERVER, bytes.fromhex("030000130ed000001234000201080002000000")),
        (CLIENT, b"\x16\x03\x01\x00\x05hello"),  # TLS inside
    ],
)
MYSQL = Protocol(
    "MySQL",
    [
        (SERVER, b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00" + b"s" * 8 + b"\x00" + b"\xff" * 52),
        (CLIENT, b"\x20\x00\x00\x01\x85\xae\xff\x19" + b"\x00" * 28),
        (SERVER, b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"),
    ],
)
POSTGRES = Protocol(
    "PostgreSQL",
    [
        (CLIENT, bytes.fromhex("0000000804d2162f")),  # SSLRequest
        (SERVER, b"S"),
        (CLIENT, b"\x16\x03\x01\x00\x05hello"),
        (SERVER, b"\x16\x03\x03\x00\x05world"),
    ],
)
MSSQL = Protocol(
    "MSSQL",
    [
        (CLIENT, bytes.fromhex("1201002f000000000000" + "001a0006010020000102002100010300220004040026")),
        (CLIENT, bytes.fromhex("0001ff0f00000000000000000000000000")),
        (SERVER, bytes.fromhex("0401000900000100ff")),
    ],
)
SQLITE = Protocol("SQLite", [(CLIENT, bytes(range(256))), (SERVER, b"SQLite format 3\x00" + b"\x00" * 84)])
MQTT = Protocol(
    "MQTT",
    [
        (CLIENT, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id"),
        (SERVER, b"\x20\x02\x00\x00"),
        (CLIENT, b"\xc0\x00"),
        (SERVER, b"\xd0\x00"),
        (CLIENT, b"\xc0\x00"),
        (SERVER, b"\xd0\x00"),
    ],
)
MINECRAFT = Protocol(
    "Minecraft",
    [
        (CLIENT, b"\x10\x00\xff\x05\x09localhost\x63\xdd\x01" + b"\x01\x00"),
        (SERVER, b'\x1d\x00\x1b{"players":{"online":3}}   '),
        (CLIENT, b"\x09\x01" + b"\x00" * 7 + b"\x2a"),
        (SERVER, b"\x09\x01" + b"\x00" * 7 + b"\x2a"),
    ],
)


async def visit(bound: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a granted TCP endpoint."""
    assert not bound["Error"], bound
    return await asyncio.open_connection("127.0.0.1", parse_endpoint_url(bound["URL"]).port)


async def talk(
    taken: Taken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, steps: list[tuple[str, bytes]]
) -> None:
    """Say everything in turn, and hear it at the other end."""
    for who, said in steps:
        (taken.writer if who == SERVER else writer).write(said)
        async with asyncio.timeout(PATIENCE):
            heard = await (reader if who == SERVER else taken.reader).readexactly(len(said))
        assert heard == said


async def end(taken: Taken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The client leaves, the server sees it and leaves too."""
    writer.write_eof()
    assert await taken.rest() == b""
    taken.finish()
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    "protocol",
    [
        pytest.param(VNC, marks=pytest.mark.row("T-003"), id="VNC"),
        pytest.param(RDP, marks=pytest.mark.row("T-004"), id="RDP"),
        pytest.param(MYSQL, marks=pytest.mark.row("T-005"), id="MySQL"),
        pytest.param(POSTGRES, marks=pytest.mark.row("T-006"), id="PostgreSQL"),
        pytest.param(MSSQL, marks=pytest.mark.row("T-007"), id="MSSQL"),
        pytest.param(SQLITE, marks=pytest.mark.row("T-008"), id="SQLite"),
        pytest.param(MQTT, marks=pytest.mark.row("T-009"), id="MQTT"),
        pytest.param(MINECRAFT, marks=pytest.mark.row("T-010"), id="Minecraft"),
    ],
)
async def test_protocols_of_every_habit_pass(protocol: Protocol) -> None:
    async with running_worker() as service, service.connected() as agent:
        reader, writer = await visit(await agent.bind())
        taken = await agent.visitor()
        await talk(taken, reader, writer, protocol.steps)
        await end(taken, reader, writer)
        event = await service.events.next(TcpConnectionClosed)
        said = {
            side: sum(len(data) for who, data in protocol.steps if who == side) for side in (SERVER, CLIENT)
        }
        assert (event.bytes_in, event.bytes_out, event.error) == (said[CLIENT], said[SERVER], "")


@pytest.mark.row("T-010")
async def test_many_short_sessions_pass_beside_a_long_one() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind()
        long = await agent_visit(agent, bound)
        for _ in range(50):
            taken, reader, writer = await agent_visit(agent, bound)
            await talk(taken, reader, writer, MINECRAFT.steps)
            await end(taken, reader, writer)
            await talk(*long, MINECRAFT.steps[2:])
        await end(*long)
        await service.events.next(TcpConnectionClosed, 51)
        assert all(not event.error for event in service.events.of(TcpConnectionClosed))


async def agent_visit(
    agent: Agent, bound: dict[str, Any]
) -> tuple[Taken, asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as a visitor; return both ends."""
    reader, writer = await visit(bound)
    return await agent.visitor(), reader, writer


def edge_of(service: Running) -> Edge:
    """Return what the service's visitors share."""
    assert service.worker.edge is not None
    return service.worker.edge


@pytest.mark.row("T-009", "T-001")
async def test_pings_keep_a_connection_for_hours_and_silence_ends_it() -> None:
    """Time is told to the watch, nobody waits for it."""
    async with running_worker() as service, service.connected() as agent:
        taken, reader, writer = await agent_visit(agent, await agent.bind())
        await talk(taken, reader, writer, MQTT.steps)
        idle = edge_of(service).idle
        assert idle.limit == 300.0
        now = asyncio.get_running_loop().time()
        assert idle.sweep(now) == []
        for _ in range(100):  # a ping in either direction every 290 seconds: eight hours
            now += 290
            assert idle.sweep(now) == []
            await talk(taken, reader, writer, MQTT.steps[4:])
            assert idle.sweep(now) == []
        assert idle.sweep(now + 299) == []
        assert len(idle.sweep(now + 300)) == 1
        event = await service.events.next(TcpConnectionClosed)
        assert event.bytes_in == 16 + 2 + 2 + 200
        writer.close()


async def test_one_direction_is_enough_to_stay() -> None:
    async with running_worker() as service, service.connected() as agent:
        taken, reader, writer = await agent_visit(agent, await agent.bind())
        idle = edge_of(service).idle
        now = asyncio.get_running_loop().time()
        for _ in range(10):  # a long download: the visitor says nothing
            now += 290
            await talk(taken, reader, writer, [(SERVER, b"more")])
            assert idle.sweep(now) == []
        await end(taken, reader, writer)


async def test_a_serving_shows_nothing_before_its_visitor_has_arrived() -> None:
    async with running_worker() as service:
        serving = Serving(edge_of(service), lambda: None)
        assert serving.ends == ("", "")
        assert serving.endpoint is None
