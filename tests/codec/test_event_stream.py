"""Event streams: cut where they should be, at once, in any pieces; unchanged messages stay as they are."""

import random

import pytest

from portway.codec.event_stream import EventStream, EventTooLong, Message


def loud(message: Message) -> bool:
    if message.data is None or b"secret" not in message.data:
        return False
    message.data = message.data.replace(b"secret", b"***")
    return True


def test_a_message_goes_on_as_soon_as_it_is_complete() -> None:
    stream = EventStream(loud)
    assert stream.feed(b"data: a secret\n") == b""
    assert stream.feed(b"\ndata: b") == b"data: a ***\n\n"
    assert stream.feed(b"\r\n\r\n") == b"data: b\r\n\r\n"
    assert stream.feed(b"data: c\r\r") == b"data: c\r\r"
    assert stream.feed(b"\n: ping\n\n") == b"\n: ping\n\n"
    assert stream.feed(b"data: unfinished") == b""
    assert stream.end() == b"data: unfinished"


def test_a_changed_message_keeps_its_other_fields_and_lines() -> None:
    stream = EventStream(loud)
    raw = b": note\nevent: x\ndata: one secret\ndata:two\nid: 7\nretry: 10\n\n"
    assert stream.feed(raw) == b": note\nevent: x\ndata: one ***\ndata: two\nid: 7\nretry: 10\n\n"


def test_a_replacement_may_bring_lines_and_cannot_end_the_message() -> None:
    def split(message: Message) -> bool:
        message.data = b"a\n\nevent: forged\rb"
        return True

    assert EventStream(split).feed(b"data: x\n\n") == b"data: a\ndata: \ndata: event: forged\ndata: b\n\n"


def test_fields_are_read() -> None:
    message = Message.read(b"data\ndata:  x\nevent:e\nid: 1\nretry:5\nunknown: y\n:c")
    assert (message.data, message.event, message.id, message.retry) == (b"\n x", b"e", b"1", b"5")


def test_the_mark_of_byte_order_is_no_part_of_a_field() -> None:
    assert EventStream(loud).feed(b"\xef\xbb\xbfdata: secret\n\n") == b"data: ***\n\n"


def test_pieces_do_not_matter() -> None:
    raw = b"data: a secret\r\n\r\n:c\r\rdata: b\n\ndata: secret\nid: 1\r\n\r\n\r\ndata: rest"
    whole = EventStream(loud)
    expected = whole.feed(raw) + whole.end()
    rng = random.Random(5)
    for _ in range(200):
        stream, out, pos = EventStream(loud), b"", 0
        while pos < len(raw):
            step = rng.randint(1, 7)
            out += stream.feed(raw[pos : pos + step])
            pos += step
        assert out + stream.end() == expected


def test_a_message_without_end_is_bounded() -> None:
    stream = EventStream(loud, most=100)
    stream.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLong):
        stream.feed(b"x" * 10)
