"""The bytes that a WebSocket client sends in binary messages, as a stream: where messages end says nothing.

Unlike `FrameReader` it holds no payload back: each piece of a frame is unmasked and given on as it comes, so
that what is held is bounded by whoever feeds it. Texts are refused with the close code 1003.
"""

from portway.codec.websocket import (
    Close,
    FrameHead,
    Opcode,
    Ping,
    WebSocketError,
    control,
    read_frame_head,
    unmask,
)


class BytesReader:
    """Reads the frames of one client."""

    def __init__(self) -> None:
        """Expect the first frame."""
        self._buffer = bytearray()  # the beginning of a frame: at most a whole control frame
        self._key = b""
        self._left = 0  # bytes to come of the frame that is being read
        self._open = False  # more fragments follow
        self._closed = False

    def feed(self, data: bytes) -> list[bytes | Ping | Close]:
        """Return the bytes and events in what has come, in order. Raises WebSocketError.

        What follows the close frame is nobody's.
        """
        found: list[bytes | Ping | Close] = []
        self._buffer += data
        while self._buffer and not self._closed:
            if self._left:
                found.append(self._piece())
                continue
            head = read_frame_head(self._buffer)
            if head is None or len(self._buffer) < head.start:
                break
            if head.opcode < Opcode.CLOSE:
                self._begin(head)
            elif len(self._buffer) < head.start + head.size:
                break
            elif (event := self._control(head)) is not None:
                found.append(event)
        if self._closed:
            self._buffer.clear()
        return found

    def _begin(self, head: FrameHead) -> None:
        if head.opcode is Opcode.TEXT:
            raise WebSocketError(1003, "only binary messages are taken here")
        if (head.opcode is Opcode.CONTINUATION) is not self._open:
            raise WebSocketError(1002, "fragments come out of order")
        self._open = not head.final
        self._left = head.size
        self._key = self._take(head.start)[-4:]

    def _piece(self) -> bytes:
        piece = self._take(min(self._left, len(self._buffer)))
        self._left -= len(piece)
        turn = len(piece) % 4
        plain = unmask(self._key, piece)
        self._key = self._key[turn:] + self._key[:turn]
        return plain

    def _control(self, head: FrameHead) -> Ping | Close | None:
        whole = self._take(head.start + head.size)
        event = control(head.opcode, unmask(whole[head.start - 4 : head.start], whole[head.start :]))
        self._closed = isinstance(event, Close)
        return event

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
