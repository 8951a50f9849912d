"""A Pipe as asyncio's reader and writer: how tests speak over streams in a few lines."""

import asyncio
from collections.abc import Mapping

from portway.net.transport import StreamTransport
from portway.pipe import Pipe


def open_reader_writer(
    pipe: Pipe | None = None,
    *,
    extra: Mapping[str, object] | None = None,
    limit: int = 65_536,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, StreamTransport]:
    """Make a reader and a writer over a Pipe. The third value is the Sink that the Pipe needs.

    Where a Pipe is only had in exchange for its Sink, leave `pipe` out and call `join` on the third.
    `limit` is asyncio's: the reader pauses at twice as much. Needs a running loop.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport = StreamTransport(loop, protocol, extra)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    if pipe is not None:
        transport.join(pipe)
    return reader, writer, transport
