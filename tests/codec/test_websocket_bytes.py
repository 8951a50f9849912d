"""Binary messages as a stream of bytes: any framing, any pieces, and what breaks the rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from websockets.frames import Frame
from websockets.frames import Opcode as Theirs

from portway.codec.websocket import Close, Ping, WebSocketError
from portway.codec.websocket_bytes import BytesReader


def masked(opcode: Theirs, data: bytes, *, fin: bool = True) -> bytes:
    """Return the frame of a client, written by the library."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


@given(some.lists(some.binary(max_size=300), max_size=5), some.integers(1, 50))
def test_messages_are_joined_whatever_the_pieces(messages: list[bytes], step: int) -> None:
    sent = b"".join(masked(Theirs.BINARY, each) for each in messages) + masked(Theirs.CLOSE, b"\x03\xe8")
    reader = BytesReader()
    found = [each for at in range(0, len(sent), step) for each in reader.feed(sent[at : at + step])]
    assert found.pop() == Close(1000, "")
    assert b"".join(each for each in found if isinstance(each, bytes)) == b"".join(messages)
    assert reader.feed(b"whatever follows") == []


def test_nothing_of_a_large_frame_is_held_back() -> None:
    reader = BytesReader()
    sent = masked(Theirs.BINARY, bytes(range(256)) * 400)
    first = reader.feed(sent[:1000])
    assert first == [(bytes(range(256)) * 400)[: 1000 - 14]]
    assert b"".join([*first, *reader.feed(sent[1000:])]) == bytes(range(256)) * 400  # type: ignore[list-item]


def test_fragments_with_a_ping_between() -> None:
    sent = (
        masked(Theirs.BINARY, b"ab", fin=False)
        + masked(Theirs.PING, b"?")
        + masked(Theirs.CONT, b"", fin=False)
        + masked(Theirs.PONG, b"!")
        + masked(Theirs.CONT, b"c")
    )
    assert BytesReader().feed(sent) == [b"ab", Ping(b"?"), b"c"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(Theirs.TEXT, b"x"), 1003),
        (masked(Theirs.CONT, b"x"), 1002),
        (masked(Theirs.BINARY, b"x", fin=False) + masked(Theirs.BINARY, b"y"), 1002),
        (Frame(Theirs.BINARY, b"x").serialize(mask=False), 1002),
        (masked(Theirs.CLOSE, b"\x03"), 1002),
    ],
)
def test_broken_rules_have_their_code(sent: bytes, code: int) -> None:
    with pytest.raises(WebSocketError) as caught:
        BytesReader().feed(sent)
    assert caught.value.code == code
