"""Taking a PROXY header off the front of a stream, ahead of TLS to the upstream."""

from collections.abc import Callable

from portway.codec.proxy_protocol import ProxyProtocolError, decode
from portway.pipe import Pipe, Sink


class Preface:
    """A Sink that hands the PROXY header to ``begin`` and passes on what follows.

    If no header comes, ``begin`` gets b"" and everything is passed on: the service was asked for
    one, and the upstream will judge what it gets instead.
    """

    __slots__ = ("_begin", "_buffer", "_done", "_pipe", "_sink")

    def __init__(self, pipe: Pipe, sink: Sink, begin: Callable[[bytes], None]) -> None:
        """Stand before this sink; the header's credit goes back through the pipe."""
        self._pipe = pipe
        self._sink = sink
        self._begin = begin
        self._buffer = bytearray()
        self._done = False

    def on_data(self, view: memoryview) -> None:
        """Collect the header; pass on the rest."""
        if self._done:
            self._sink.on_data(view)
            return
        self._buffer += view
        try:
            found = decode(bytes(self._buffer))
        except ProxyProtocolError:
            self._go(0)
            return
        if found is not None:
            self._go(found.size)

    def on_end(self) -> None:
        """Pass on; an unfinished header goes as it is."""
        if not self._done:
            self._go(0)
        self._sink.on_end()

    def on_reset(self, code: int) -> None:
        """Pass on."""
        self._sink.on_reset(code)

    def on_room(self) -> None:
        """Pass on."""
        self._sink.on_room()

    def _go(self, size: int) -> None:
        self._done = True
        rest = bytes(self._buffer[size:])
        self._begin(bytes(self._buffer[:size]))
        self._buffer.clear()
        if size:
            self._pipe.consume(size)
        if rest:
            self._sink.on_data(memoryview(rest))
