"""Edges in the data plane: put online from rows, served by labelled tunnels, closed to everybody else."""

import asyncio

import pytest
from tests.kit.edges import backend, edge, opened, serve, tell
from tests.kit.service import Running, running_worker

from portway.session import StreamType


async def attached(service: Running, place: int = 0, **modules: object) -> int:
    """Put a TCP edge online at one of the ports, with a tunnel group; return the port."""
    port = service.worker.config.tcp_ports[place]
    tell(service, backend(), edge("tcp", [f"tcp://localhost:{port}"], backend="bkdtg_1", **modules))
    return await opened(service, port)


async def closed_without_a_byte(port: int) -> bool:
    """Visit; tell whether the connection is closed and nothing was said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()


@pytest.mark.row("T-087", "T-088", "S24")
async def test_a_labelled_tunnel_serves_a_tcp_edge() -> None:
    async with running_worker() as service, service.connected() as agent:
        port = await attached(service)
        assert await closed_without_a_byte(port)
        answer = await serve(agent, {"edge": "one", "team": "web"})
        assert answer["Error"] == ""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping")
        taken = await agent.visitor()
        assert await taken.read(4) == b"ping"
        assert (taken.header.id, taken.header.proto, taken.header.edge_type) == (answer["Id"], "tcp", "1")
        taken.finish(b"pong")
        assert await asyncio.wait_for(reader.read(), 10) == b"pong"
        writer.close()
        await agent.call(StreamType.UNBIND, {"Id": answer["Id"]})
        assert await closed_without_a_byte(port)
