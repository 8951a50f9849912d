"""The two ends of a connection, as they are told."""

import asyncio
import socket

from portway.edge.ends import ends_of


async def test_the_ends_of_a_socket() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    host, port = server.getsockname()
    _reader, writer = await asyncio.open_connection(host, port)
    own = "{}:{}".format(*writer.get_extra_info("sockname"))
    assert ends_of(writer.transport) == (f"{host}:{port}", own)
    writer.close()
    server.close()


async def test_the_ends_of_a_socket_without_addresses() -> None:
    here, there = socket.socketpair()
    _reader, writer = await asyncio.open_unix_connection(sock=here)
    assert ends_of(writer.transport) == ("", "")
    writer.close()
    there.close()
