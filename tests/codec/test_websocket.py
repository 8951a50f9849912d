"""WebSocket frames, against RFC 6455 and the websockets library."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some
from websockets.frames import Frame
from websockets.frames import Opcode as Theirs

from portway.codec.websocket import (
    Close,
    FrameReader,
    Message,
    Opcode,
    Ping,
    WebSocketError,
    WebSocketEvent,
    accept_key,
    close_frame,
    frame,
)


def masked(opcode: Theirs, data: bytes, *, fin: bool = True) -> bytes:
    """Return the frame of a client, written by the library."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def test_the_key_of_the_rfc() -> None:
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_message_of_any_length(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    assert FrameReader().feed(masked(Theirs.BINARY, data)) == [Message(data)]
    ours = frame(Opcode.BINARY, data)
    assert ours == Frame(Theirs.BINARY, data).serialize(mask=False)


@given(some.text(), some.integers(1, 7))
def test_a_text_in_any_pieces(text: str, step: int) -> None:
    reader = FrameReader()
    sent = (
        masked(Theirs.TEXT, text.encode()) + masked(Theirs.PING, b"?") + masked(Theirs.CLOSE, b"\x03\xe8bye")
    )
    events: list[WebSocketEvent] = []
    for start in range(0, len(sent), step):
        events += reader.feed(sent[start : start + step])
    assert events == [Message(text), Ping(b"?"), Close(1000, "bye")]


def test_fragments_with_a_ping_between() -> None:
    sent = (
        masked(Theirs.TEXT, "fragmé".encode()[:6], fin=False)
        + masked(Theirs.PING, b"")
        + masked(Theirs.CONT, "fragmé".encode()[6:] + b"nt", fin=False)
        + masked(Theirs.CONT, b"s")
    )
    assert FrameReader().feed(sent) == [Ping(b""), Message("fragménts")]


def test_a_pong_and_an_empty_close() -> None:
    assert FrameReader().feed(masked(Theirs.PONG, b"x") + masked(Theirs.CLOSE, b"")) == [Close(1005, "")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (Frame(Theirs.TEXT, b"x").serialize(mask=False), 1002),
        (masked(Theirs.CONT, b"x"), 1002),
        (masked(Theirs.TEXT, b"x", fin=False) + masked(Theirs.TEXT, b"y"), 1002),
        (b"\xc1\x80" + bytes(4), 1002),  # a reserved bit
        (b"\x83\x80" + bytes(4), 1002),  # an unknown opcode
        (b"\x09\x80" + bytes(4), 1002),  # a ping in fragments
        (b"\x89\xfe\x00\x80", 1002),  # a long ping
        (masked(Theirs.CLOSE, b"\x03"), 1002),
        (masked(Theirs.CLOSE, b"\x03\xee"), 1002),  # 1006
        (masked(Theirs.CLOSE, b"\x03\xe8\xff"), 1007),
        (masked(Theirs.TEXT, b"\xff"), 1007),
        (b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009),
    ],
    ids=[
        *(
            "unmasked",
            "continued",
            "interrupted",
            "reserved bit",
            "unknown",
            "ping in fragments",
            "long ping",
        ),
        *("half a code", "code 1006", "no text at the end", "no text", "endless"),
    ],  # masks are random, and names may not be
)
def test_what_breaks_the_rules(sent: bytes, code: int) -> None:
    with pytest.raises(WebSocketError) as caught:
        FrameReader().feed(sent)
    assert caught.value.code == code


def test_fragments_together_are_bounded() -> None:
    reader = FrameReader(most=10)
    assert reader.feed(masked(Theirs.TEXT, b"123456", fin=False)) == []
    with pytest.raises(WebSocketError) as caught:
        reader.feed(masked(Theirs.CONT, b"12345"))
    assert caught.value.code == 1009


@given(some.binary(max_size=200))
def test_anything_is_events_or_the_one_error(data: bytes) -> None:
    with suppress(WebSocketError):
        assert all(isinstance(event, WebSocketEvent) for event in FrameReader(most=100).feed(data))


def test_how_a_connection_is_ended() -> None:
    assert close_frame() == b"\x88\x02\x03\xe8"
    assert close_frame(1005) == b"\x88\x00"
    long = close_frame(1000, "é" * 100)
    assert long[1] <= 125
    assert long[4:].decode() == "é" * 61
