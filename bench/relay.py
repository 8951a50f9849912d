"""A minimal relay, the yardstick: many TCP connections over one TLS connection, and nothing else.

    python -m bench.relay server CERT KEY      prints two ports: for its agent, for visitors
    python -m bench.relay agent PORT CA UPSTREAM

It has no authentication, no names, no windows for each stream, no errors worth the name: one stalled reader
stops everybody. So it costs what carrying the bytes must cost in Python, and whatever portway costs more is
the price of what portway does.

A frame is a type, a stream number and a length: O opens, D carries bytes, E ends a direction, X cuts.
"""

import asyncio
import ssl
import struct
import sys
from typing import Any, cast

import uvloop

OPEN, DATA, END, CUT = 1, 2, 3, 4
_HEADER = struct.Struct(">BxxxII")
_PIECE = 256 * 1024


class Local(asyncio.BufferedProtocol):
    """One visitor's or upstream's connection."""

    _buffer = memoryview(bytearray(_PIECE))  # one for all: what is read is sent on at once

    def __init__(self, link: "Link", number: int) -> None:
        """Belong to a link under a number."""
        self.link = link
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes | None] = []
        self.ends = 0
        link.locals[number] = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send on what came for us while we were dialling."""
        self.transport = cast("asyncio.Transport", transport)
        waiting, self.waiting = self.waiting, []
        for piece in waiting:
            self.take(piece)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the shared buffer."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Send on what was read."""
        self.link.send(DATA, self.number, self._buffer[:nbytes])

    def eof_received(self) -> bool:
        """Tell the other end; keep our own direction."""
        self.link.send(END, self.number)
        self.ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the other end unless both directions had ended anyway; whoever is gone stalls nobody."""
        self.link.stall(self, stalled=False)
        if self.link.locals.pop(self.number, None):
            self.link.send(CUT, self.number)

    def pause_writing(self) -> None:
        """Stop everybody: there is no window of our own."""
        self.link.stall(self, stalled=True)

    def resume_writing(self) -> None:
        """Let everybody go on."""
        self.link.stall(self, stalled=False)

    def take(self, piece: bytes | None) -> None:
        """Write bytes from the other end; None is its end of writing."""
        if self.transport is None:
            self.waiting.append(piece)
        elif piece is not None:
            self.transport.write(piece)
        else:
            if not self.transport.is_closing():
                self.transport.write_eof()
            self.ended()

    def ended(self) -> None:
        """Close once both directions have ended."""
        self.ends += 1
        if self.ends == 2:
            self.link.locals.pop(self.number, None)
            if self.transport:
                self.transport.close()


class Link(asyncio.BufferedProtocol):
    """The one TLS connection, pumped by hand through memory BIOs."""

    def __init__(self, context: ssl.SSLContext, upstream: int = 0) -> None:
        """Be the server's end, or the agent's when an upstream's port is given."""
        self.locals: dict[int, Local] = {}
        self._loop = asyncio.get_running_loop()
        self._upstream = upstream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = "localhost" if upstream else None
        self._tls = context.wrap_bio(self._incoming, self._outgoing, not upstream, name)
        self._cipher = memoryview(bytearray(_PIECE))
        self._plain = memoryview(bytearray(2 * _PIECE))
        self._kept = 0
        self._frame = (0, 0, 0)  # of the frame under way: kind, stream, bytes still to come
        self._stalled: set[Local] = set()
        self._shaken = False
        self.secure = self._loop.create_future()
        """Done once the handshake is: nothing can be sent before."""
        self._last = 0
        self._dialling: set[asyncio.Task[Any]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(1 << 20)
        self._shake()

    def new_number(self) -> int:
        """Return the number of a new stream."""
        self._last += 1
        return self._last

    def send(self, kind: int, number: int, piece: "bytes | memoryview" = b"") -> None:
        """Encrypt one frame; all frames of one turn of the loop leave together."""
        if not self._outgoing.pending:
            self._loop.call_soon(self._flush)
        self._tls.write(_HEADER.pack(kind, number, len(piece)))
        if piece:
            self._tls.write(piece)

    def stall(self, local: Local, *, stalled: bool) -> None:
        """Stop or resume reading for all streams."""
        (self._stalled.add if stalled else self._stalled.discard)(local)
        if self._stalled:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """The link is full: read no local connection."""
        for local in self.locals.values():
            if local.transport:
                local.transport.pause_reading()

    def resume_writing(self) -> None:
        """The link has room again."""
        for local in self.locals.values():
            if local.transport:
                local.transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer space for ciphertext."""
        return self._cipher

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt, and deliver whole frames."""
        self._incoming.write(self._cipher[:nbytes])
        if not self._shaken and not self._shake():
            return
        try:
            while True:
                got = self._tls.read(len(self._plain) - self._kept, self._plain[self._kept :])
                if not got:
                    break
                self._kept += int(got)
                self._deliver()
        except ssl.SSLWantReadError:
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        """Without the link there is nothing to do."""
        sys.exit(0)

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
            self._shaken = True
            self.secure.set_result(None)
        except ssl.SSLWantReadError:
            pass
        self._transport.write(self._outgoing.read())
        return self._shaken

    def _flush(self) -> None:
        self._transport.write(self._outgoing.read())

    def _deliver(self) -> None:
        """Hand on all that is there; a frame's bytes need not have come whole."""
        at, end = 0, self._kept
        while True:
            kind, number, left = self._frame
            if left:
                piece = bytes(self._plain[at : min(end, at + left)])
                at += len(piece)
                self._frame = kind, number, left - len(piece)
                if piece:
                    self._take(kind, number, piece)
            if self._frame[2] or end - at < _HEADER.size:
                break
            self._frame = kind, number, length = _HEADER.unpack_from(self._plain, at)
            at += _HEADER.size
            if not length:
                self._take(kind, number, b"")
        self._kept = end - at
        self._plain[: self._kept] = bytes(self._plain[at:end])

    def _take(self, kind: int, number: int, piece: bytes) -> None:
        if kind == OPEN:
            local = Local(self, number)
            task = self._loop.create_task(self._dial(local))
            self._dialling.add(task)
            task.add_done_callback(self._dialling.discard)
            return
        local = self.locals.get(number)
        if local is None:
            return
        if kind == CUT:
            del self.locals[number]
            if local.transport:
                local.transport.abort()
        else:
            local.take(piece if kind == DATA else None)

    async def _dial(self, local: Local) -> None:
        try:
            await self._loop.create_connection(lambda: local, "127.0.0.1", self._upstream)
        except OSError:
            self.send(CUT, local.number)


async def server(certificate: str, key: str) -> None:
    """Wait for one agent and any number of visitors."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    links: asyncio.Queue[Link] = asyncio.Queue()

    def agent() -> Link:
        link = Link(context)
        links.put_nowait(link)
        return link

    def visitor() -> Local:
        local = Local(link, link.new_number())
        link.send(OPEN, local.number)
        return local

    gate = await loop.create_server(agent, "127.0.0.1", 0)
    public = await loop.create_server(visitor, "127.0.0.1", 0, backlog=4096, start_serving=False)
    print(gate.sockets[0].getsockname()[1], public.sockets[0].getsockname()[1], flush=True)
    link = await links.get()
    await link.secure
    await public.serve_forever()


async def agent(port: str, ca: str, upstream: str) -> None:
    """Connect to the server and dial the upstream for each visitor."""
    context = ssl.create_default_context(cafile=ca)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: Link(context, int(upstream)), "127.0.0.1", int(port))
    await asyncio.Event().wait()


if __name__ == "__main__":
    role = {"server": server, "agent": agent}[sys.argv[1]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(role(*sys.argv[2:]))
