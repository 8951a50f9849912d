"""Requests over a stream: one JSON object there, one back. The Sinks of both ends.

The asker (`Reply`) writes type and request in one piece and keeps its side open until the answer has
come: some agents spin on a FIN that comes before. The answer is one JSON value, and nothing is asked
of what follows it, since some agents never send FIN. So a service then ends the stream and cuts it,
which frees it at the peer too; an agent only ends it.

The answerer (`Answer`) ends its side right after the answer: some agents read up to the FIN.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from portway.errors import MessageError, PortwayError, SessionClosed, StreamReset
from portway.wire.frames import ErrorCode
from portway.wire.messages import MAX_BYTES
from portway.wire.opening import JsonScanner
from portway.wire.stream import Stream

CALL_TIMEOUT: Final = 10.0
"""Seconds a service waits for an agent's answer. An agent waits as long as the session lives."""

NOTICE_LINGER: Final = 10.0
"""Seconds an agent may take to end the stream of a message that has no answer."""


class Reply:
    """The asker's Sink: collects one JSON value and completes `answer`.

    `answer` fails with MessageError (unreadable, too long, ended too early), StreamReset or
    SessionClosed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for an answer; `attach` follows when the stream is open."""
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._stream: Stream | None = None
        self._buffer = bytearray()
        self._scanner = JsonScanner()

    def attach(self, stream: Stream) -> None:
        """Take the stream that was opened with this Sink."""
        self._stream = stream

    def on_data(self, view: memoryview) -> None:
        """Collect; what comes after the answer is thrown away."""
        if self._stream is not None:
            self._stream.consume(len(view))
        if self.answer.done():
            return
        self._buffer += view[: MAX_BYTES + 1 - len(self._buffer)]
        try:
            end = self._scanner.scan(self._buffer)
        except ValueError as error:
            self._fail(MessageError(f"the answer is unreadable: {error}"))
            return
        if end > MAX_BYTES or (end < 0 and len(self._buffer) > MAX_BYTES):
            self._fail(MessageError(f"the answer is longer than {MAX_BYTES} bytes"))
        elif end >= 0:
            self.answer.set_result(bytes(self._buffer[:end]))

    def on_end(self) -> None:
        """The peer has finished; without an answer that is a fault."""
        self._fail(MessageError("the peer ended the stream without an answer"))

    def on_reset(self, code: int) -> None:
        """The stream or the session is gone."""
        closed = code == ErrorCode.SESSION_CLOSED
        self._fail(SessionClosed("the session has ended") if closed else StreamReset(code))

    def on_room(self) -> None:
        """Nothing waits here: a request fits the initial window."""

    def _fail(self, error: PortwayError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Answer:
    """The answerer's Sink: sends one answer, then FIN, and ignores what else the peer writes."""

    def __init__(self, stream: Stream, on_abandoned: Callable[[], None]) -> None:
        """Answer on this stream, whose request has been read, and tell if it is reset before that."""
        self._stream = stream
        self._on_abandoned = on_abandoned
        self._rest: bytes = b""
        self._answered = False
        self.abandoned = False
        """The peer has reset the stream before its answer."""

    def send(self, body: bytes | None) -> None:
        """Answer with `body`, or with nothing, and end. Harmless when the stream is gone."""
        self._rest = body or b""
        self._answered = True
        self.on_room()

    def on_room(self) -> None:
        """Send what did not fit: a peer may read slowly."""
        if self._rest:
            self._rest = self._rest[self._stream.send(self._rest) :]
        if self._answered and not self._rest:
            self._stream.end()

    def on_data(self, view: memoryview) -> None:
        """Throw away what follows the request."""
        self._stream.consume(len(view))

    def on_end(self) -> None:
        """The peer has finished writing; its answer still goes out."""

    def on_reset(self, code: int) -> None:
        """Nobody waits for the answer any more."""
        self._rest = b""
        if not self._answered:
            self.abandoned = True
            self._on_abandoned()


class Notice:
    """The Sink of a message without an answer: closes when the peer has."""

    def __init__(self) -> None:
        """Prepare; `attach` follows when the stream is open."""
        self._stream: Stream | None = None

    def attach(self, stream: Stream) -> None:
        """Take the stream that was opened with this Sink."""
        self._stream = stream

    def expire(self) -> None:
        """Free the stream whatever the peer did: some agents leave it half open."""
        if self._stream is not None:
            self._stream.end()
            self._stream.abort()
            self._stream = None

    def on_data(self, view: memoryview) -> None:
        """Throw away what nobody asked for."""
        if self._stream is not None:
            self._stream.consume(len(view))

    def on_end(self) -> None:
        """The peer is done with it: so are we."""
        if self._stream is not None:
            self._stream.end()
            self._stream = None

    def on_reset(self, code: int) -> None:
        """Gone."""
        self._stream = None

    def on_room(self) -> None:
        """Nothing waits here."""


class Closed:
    """The Sink of a stream that we have ended at once: whatever comes is thrown away."""

    def __init__(self, stream: Stream) -> None:
        """End the stream."""
        self._stream = stream
        stream.end()

    def on_data(self, view: memoryview) -> None:
        """Throw away; the credit goes back, or a peer that writes would never come to its end."""
        self._stream.consume(len(view))

    def on_end(self) -> None:
        """Both sides have ended."""

    def on_reset(self, code: int) -> None:
        """Gone."""

    def on_room(self) -> None:
        """Nothing waits here."""
