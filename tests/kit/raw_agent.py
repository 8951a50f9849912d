"""An agent that keeps no rule: frames are written as bytes to a real socket and read as tuples."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, cast

from portway.wire.frames import FLAG_FIN, FLAG_SYN, HEADER, FrameType
from portway.wire.opening import StreamType
from tests.kit.sessions import frame, typed
from tests.kit.traffic import parted

PATIENCE = 20.0  # seconds for anything that should come

VISITOR = typed(StreamType.PROXY)
"""How the first frame of a visitor's stream begins."""


class Frame(NamedTuple):
    """A frame that came."""

    kind: int
    flags: int
    stream: int
    body: bytes

    @property
    def code(self) -> int:
        """The code of an RST or a GOAWAY."""
        return int.from_bytes(self.body[:4] if self.kind == FrameType.RST else self.body[4:8], "big")


class RawAgent:
    """One connection to a service, under TLS. Nothing is answered unless the test answers it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take an open connection."""
        self._reader, self.writer = reader, writer
        self.frames: list[Frame] = []
        """All that came, in order."""
        self.ended = False
        """The service has closed the connection."""
        self.counted: dict[int, tuple[int, int]] = {}
        """What `size` has looked at."""
        self._next = 3
        self._of: dict[int, list[Frame]] = {}

    def stream(self) -> int:
        """Return the id of a new stream."""
        self._next += 2
        return self._next - 2

    def send(self, *frames: bytes) -> None:
        """Write frames, or anything else."""
        self.writer.write(b"".join(frames))

    def open(self, kind: int, body: bytes = b"") -> int:
        """Open a stream with this type and body; return its id."""
        stream = self.stream()
        self.send(frame(FrameType.DATA, FLAG_SYN, stream, typed(kind, body)))
        return stream

    async def until(self, condition: Callable[[], object], *, timeout: float = PATIENCE) -> None:
        """Read until something holds, or the end of the connection; fail when it never does."""
        async with asyncio.timeout(timeout):
            while not condition():
                assert not self.ended, f"the service closed the connection: {self.frames[-3:]}"
                await self._read()

    async def until_closed(self, *, timeout: float = PATIENCE) -> list[Frame]:
        """Read until the service closes the connection; return all that came."""
        async with asyncio.timeout(timeout):
            while not self.ended:
                await self._read()
        return self.frames

    async def call(self, kind: int, message: object) -> dict[str, Any]:
        """Send one request, a value or raw bytes, and return the answer."""
        stream = self.open(kind, message if isinstance(message, bytes) else json.dumps(message).encode())
        await self.until(lambda: self.is_over(stream))
        self.send(frame(FrameType.DATA, FLAG_FIN, stream))
        return cast("dict[str, Any]", json.loads(self.data(stream)))

    async def auth(self, token: str, user_agent: str = "portway/1", **more: Any) -> dict[str, Any]:
        """Authenticate."""
        extra = {"Authtoken": token, "UserAgent": user_agent, "OS": "linux"} | more
        return await self.call(StreamType.AUTH, {"Version": ["3", "2"], "ClientId": "", "Extra": extra})

    async def bind(self, proto: str, url: str = "") -> dict[str, Any]:
        """Ask for an endpoint."""
        return await self.call(StreamType.BIND, {"Proto": proto, "Opts": {"URL": url}, "Extra": {}})

    def data(self, stream: int) -> bytes:
        """Return the bytes that came on a stream."""
        return b"".join(each.body for each in self.of(stream) if each.kind == FrameType.DATA)

    def visitors(self) -> list[int]:
        """Return the ids of the streams that visitors came on."""
        return [each.stream for each in self.frames if each.body[:4] == VISITOR and each.flags & FLAG_SYN]

    def size(self, stream: int) -> int:
        """Count the bytes that came on a stream, looking at each frame once."""
        seen, size = self.counted.get(stream, (0, 0))
        for each in self.frames[seen:]:
            if each.stream == stream and each.kind == FrameType.DATA:
                size += len(each.body)
        self.counted[stream] = len(self.frames), size
        return size

    def of(self, stream: int) -> list[Frame]:
        """Return the frames of one stream."""
        return list(self._of.get(stream, ()))

    def is_over(self, stream: int) -> bool:
        """Whether the service has ended or reset a stream."""
        return any(
            each.kind == FrameType.RST or (each.kind == FrameType.DATA and each.flags & FLAG_FIN)
            for each in self.of(stream)
        )

    def resets(self, code: int) -> int:
        """Count the RSTs with a code."""
        return sum(each.kind == FrameType.RST and each.code == code for each in self.frames)

    async def _read(self) -> None:
        try:
            head = await self._reader.readexactly(HEADER)
            kind, flags = head[3] >> 4, head[3] & 15
            body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.ended = True
            return
        came = Frame(kind, flags, int.from_bytes(head[4:8], "big"), body)
        self.frames.append(came)
        self._of.setdefault(came.stream, []).append(came)
        if not len(self.frames) % 100:
            await asyncio.sleep(0)  # what is buffered is read without a turn of the loop, and others wait


@asynccontextmanager
async def raw_agent(address: str, ca_file: str, source: str = "127.0.0.1") -> AsyncGenerator[RawAgent]:
    """Connect to a service on loopback, coming from ``source``; always close."""
    context = ssl.create_default_context(cafile=ca_file)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        int(address.rpartition(":")[2]),
        ssl=context,
        server_hostname="localhost",
        local_addr=(source, 0),
    )
    try:
        yield RawAgent(reader, writer)
        writer.write(frame(FrameType.GOAWAY, 0, 0, bytes(8)))  # goodbye: its names are free at once
        with suppress(ConnectionError):
            await asyncio.wait_for(writer.drain(), PATIENCE)
    finally:
        await parted(writer)
