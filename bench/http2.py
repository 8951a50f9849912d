"""HTTP/2 as the load and the upstream speak it: frames by hand, header blocks without compression.

A load generator must not be the bottleneck, and a library's state machine is ten times the work of what is
measured here. So headers go out as literals that touch no table (RFC 7541 §6.2.2), and of what comes back
only frames are read: a block must hold the index of `:status 200`, a body must be what was expected.
"""

import asyncio
import struct
from collections.abc import Callable, Iterator
from typing import Final, cast

from bench.noise import CorruptError
from bench.order import Order

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4

WINDOW: Final = 1 << 30
"""What either side grants at once, and never again: more than a measurement moves."""

MESSAGE: Final = b"\0" + (100).to_bytes(4, "big") + bytes(100)
"""A gRPC message: no compression, its length, its bytes."""

OK: Final = 0x88
"""`:status 200` in the static table."""

_AUTHORITY, _PATH, _ACCEPT, _LENGTH, _TYPE, _COOKIE, _AGENT = 1, 4, 19, 28, 31, 32, 58
"""Names in the static table (RFC 7541 appendix A)."""

_HEAD: Final = struct.Struct(">HBBBI")
_U32: Final = struct.Struct(">I")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def _literal(name: int | bytes, value: bytes) -> bytes:
    """Write a field that is not to be indexed; lengths stay below 127."""
    if isinstance(name, bytes):
        return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value
    first = bytes((name,)) if name < 15 else bytes((15, name - 15))
    return first + bytes((len(value),)) + value


def opening(*, server: bool = False) -> bytes:
    """Return the first bytes of one side: the preface of a client, settings, and credit for all."""
    settings = struct.pack(">HIHI", 0x4, WINDOW, 0x1, 0)  # windows; no table to remember fields in
    grant = frame(WINDOW_UPDATE, 0, 0, _U32.pack(WINDOW - 65_535))
    return (b"" if server else PREFACE) + frame(SETTINGS, 0, 0, settings) + grant


def get(order: Order, number: int) -> bytes:
    """Return the header block of the same GET as over HTTP/1."""
    n = number if order.vary else 0
    return b"".join((
        b"\x82\x87",  # GET, https
        _literal(_PATH, b"/item?n=%08d" % n),
        _literal(_AUTHORITY, order.host.encode()),
        _literal(_AGENT, b"bench/1"),
        _literal(_ACCEPT, b"*/*"),
        _literal(_COOKIE, b"theme=light; visit=%08d" % n),
    ))  # fmt: skip


def call(order: Order) -> bytes:
    """Return the header block of a gRPC call."""
    return b"".join((
        b"\x83\x87",  # POST, https
        _literal(_PATH, b"/bench.Echo/Stream"),
        _literal(_AUTHORITY, order.host.encode()),
        _literal(_TYPE, b"application/grpc"),
        _literal(b"te", b"trailers"),
    ))  # fmt: skip


class Frames:
    """What has come, cut into frames."""

    def __init__(self) -> None:
        """Have nothing."""
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Give each whole frame as kind, flags, stream and payload."""
        data = self._kept + data
        at, size = 0, len(data)
        while size - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if end > size:
                break
            yield kind, flags, stream & 0x7FFF_FFFF, data[at + 9 : end]
            at = end
        self._kept = data[at:]


class Client(asyncio.Protocol):
    """A connection with so many streams at once, each with one request after the other, or one call."""

    def __init__(
        self,
        order: Order,
        requests: Iterator[int],
        done: "asyncio.Future[None]",
        *,
        grpc: bool,
        answer: bytes,
    ) -> None:
        """Take the numbers of what to ask, and what to resolve when all is answered."""
        self._order = order
        self._requests = requests
        self._done = done
        self._grpc = grpc
        self._answer = answer
        self._frames = Frames()
        self._next = 1
        self._got: dict[int, bytes] = {}
        self._out: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the streams."""
        self._transport = cast("asyncio.Transport", transport)
        self._out.append(opening())
        for _ in range(self._order.streams):
            self._ask()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Judge what came, and ask on."""
        try:
            for kind, flags, stream, payload in self._frames.feed(data):
                self._take(kind, flags, stream, payload)
        except CorruptError as error:
            if not self._done.done():
                self._done.set_exception(error)
            self._transport.abort()
            return
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is a failure unless all was answered."""
        if not self._done.done():
            self._done.set_exception(CorruptError("closed before all was answered"))

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self._got[stream] += payload
            if self._grpc:
                self._echoed(stream)
        elif kind == HEADERS and not self._got[stream] and OK not in payload[:8]:
            raise CorruptError(f"an answer that is not 200: {payload!r}")
        elif kind == SETTINGS and not flags & ACK:
            self._out.append(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind in {RST, GOAWAY}:
            raise CorruptError(f"frame {kind} of {payload!r}")
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            if self._got.pop(stream) != self._answer:
                raise CorruptError("an answer with another body")
            self._ask()

    def _echoed(self, stream: int) -> None:
        got = self._got[stream]
        if len(got) < len(self._answer):
            return
        if got != self._answer:
            raise CorruptError(f"{got!r} came back")
        self._got[stream] = b""
        if next(self._requests, None) is None:
            self._finish(stream)
        else:
            self._out.append(frame(DATA, 0, stream, MESSAGE))

    def _ask(self) -> None:
        number = next(self._requests, None)
        stream = self._next
        if number is None:
            self._finish(stream)
            return
        self._next += 2
        self._got[stream] = b""
        if self._grpc:
            self._out.append(frame(HEADERS, END_HEADERS, stream, call(self._order)))
            self._out.append(frame(DATA, 0, stream, MESSAGE))
        else:
            self._out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, get(self._order, number)))

    def _finish(self, stream: int) -> None:
        self._got.pop(stream, None)
        if not self._got and not self._done.done():
            self._done.set_result(None)
            self._transport.close()

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()


class Server:
    """The upstream's side of one connection: GET gets the body, a call gets its messages back."""

    def __init__(self, write: Callable[[bytes], None], body: bytes) -> None:
        """Write with this; the preface has been read."""
        self._write = write
        self._frames = Frames()
        self._plain = frame(HEADERS, END_HEADERS, 0, bytes((OK,)) + _literal(_LENGTH, b"%d" % len(body)))[9:]
        self._called = bytes((OK,)) + _literal(_TYPE, b"application/grpc")
        self._trailer = _literal(b"grpc-status", b"0")
        self._body = body
        write(opening(server=True))

    def feed(self, data: bytes) -> None:
        """Answer what has come."""
        out: list[bytes] = []
        for kind, flags, stream, payload in self._frames.feed(data):
            if kind == HEADERS and flags & END_STREAM:
                out += (
                    frame(HEADERS, END_HEADERS, stream, self._plain),
                    frame(DATA, END_STREAM, stream, self._body),
                )
            elif kind == HEADERS:
                out.append(frame(HEADERS, END_HEADERS, stream, self._called))
            elif kind == DATA:
                if payload:
                    out.append(frame(DATA, 0, stream, payload))
                if flags & END_STREAM:
                    out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream, self._trailer))
            elif kind == SETTINGS and not flags & ACK:
                out.append(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                out.append(frame(PING, ACK, 0, payload))
        if out:
            self._write(b"".join(out))
