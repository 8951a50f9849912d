"""The upstream of every measurement: `python -m bench.upstream` prints its port and serves until killed.

The first byte of a connection says what it wants: D and eight bytes of size for bulk down, U likewise for
bulk up (confirmed by a K), E for an echo, else HTTP: version 2 when it begins with that one's preface, and an
echo of all that comes after an upgrade.
"""

import asyncio
import struct
from typing import TYPE_CHECKING, Final, cast

import uvloop
from bench.http2 import PREFACE, Server
from bench.noise import CHUNK, noise, verify

if TYPE_CHECKING:
    from collections.abc import Callable

BODY: Final = b"hello, world\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n" + BODY
UPGRADE: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
"""What a WebSocket's request ends with; the key is as good as any."""

SWITCHED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
)
SIZE: Final = struct.Struct(">Q")


class Connection(asyncio.Protocol):
    """One connection, of any kind."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._take: Callable[[bytes], None] = self._begin
        self._kept = b""
        self._size = 0
        self._offset = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Do what this kind of connection does."""
        self._take(data)

    def pause_writing(self) -> None:
        """Pour no more for now."""
        self._paused = True

    def resume_writing(self) -> None:
        """Pour on."""
        self._paused = False
        if self._offset < self._size and self._take == self._ignore:
            self._pour()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pour no more at all."""
        self._size = 0

    def _begin(self, data: bytes) -> None:
        self._kept += data
        kind = self._kept[:1]
        if kind in (b"D", b"U"):
            if len(self._kept) < 1 + SIZE.size:
                return
            (self._size,) = SIZE.unpack_from(self._kept, 1)
            rest, self._kept = self._kept[1 + SIZE.size :], b""
            if kind == b"D":
                self._take = self._ignore
                self._pour()
            else:
                self._take = self._swallow
                self._swallow(rest)
        else:
            rest, self._kept = (self._kept[1:], b"") if kind == b"E" else (self._kept, b"")
            self._take = self._transport.write if kind == b"E" else self._head
            self._take(rest)

    def _ignore(self, data: bytes) -> None:
        pass

    def _pour(self) -> None:
        # A transport whose peer has gone takes all and asks for no pause, for ever.
        while self._offset < self._size and not (self._paused or self._transport.is_closing()):
            piece = noise(self._offset, min(CHUNK, self._size - self._offset))
            self._offset += len(piece)
            self._transport.write(piece)

    def _swallow(self, data: bytes) -> None:
        verify(data, self._offset)
        self._offset += len(data)
        if self._offset == self._size:
            self._transport.write(b"K")

    def _head(self, data: bytes) -> None:
        """Find out what a first head asks for."""
        self._kept += data
        if self._kept.startswith(PREFACE):
            rest = self._kept[len(PREFACE) :]
            self._take = Server(self._transport.write, BODY).feed
            self._take(rest)
        elif PREFACE.startswith(self._kept[: len(PREFACE)]):
            return
        else:
            self._take = self._answer
            self._answer(b"")

    def _answer(self, data: bytes) -> None:
        self._kept += data
        if not self._kept.endswith(b"\r\n\r\n"):
            return
        head, self._kept = self._kept, b""
        if b"\r\nupgrade: websocket\r\n" in head.lower():
            self._take = self._transport.write
            self._transport.write(SWITCHED)
        else:
            self._transport.write(ANSWER)


async def main() -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
