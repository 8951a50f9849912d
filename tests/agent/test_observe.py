"""Following HTTP as it passes: seen right, in any pieces, and never changed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.tape import Tape

from portway.agent.observe import Observer
from portway.codec.proxy_protocol import encode_v2

GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
HEAD = b"HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKS = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Rig:
    """An observer between two tapes, with a clock that ticks at every look."""

    def __init__(self, *, proxy_header: bool = False, take: int = 1 << 20) -> None:
        self.tape = Tape(take)
        self.reports: list[tuple[str, str, int, float]] = []
        ticks = iter(range(1000))
        self.observer = Observer(self.tape, self._report, lambda: next(ticks), proxy_header=proxy_header)
        self.observer.to(self.tape)

    def _report(self, method: str, target: str, status: int, duration: float) -> None:
        self.reports.append((method, target, status, duration))

    def ask(self, data: bytes) -> None:
        self.observer.on_data(memoryview(data))

    def answer(self, data: bytes) -> None:
        view = self.observer.lend()
        assert view is not None
        view[: len(data)] = data
        assert self.observer.filled(len(data))

    @property
    def seen(self) -> list[tuple[str, str, int]]:
        return [report[:3] for report in self.reports]


@pytest.mark.row("G-158")
def test_requests_on_one_connection_are_told_one_by_one() -> None:
    rig = Rig()
    for request, answer in ((GET, OK), (POST, NO_CONTENT), (CHUNKED, CHUNKS), (HEAD, HEAD_OK)):
        rig.ask(request)
        rig.answer(answer)
    assert rig.seen == [
        ("GET", "/a?b=c", 200),
        ("POST", "/p", 204),
        ("PUT", "/c", 201),
        ("HEAD", "/h", 200),
    ]
    assert [duration for *_, duration in rig.reports] == [1.0] * 4


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_pieces_make_no_difference_and_nothing_is_changed(data: st.DataObject) -> None:
    asked, answered = GET + POST + CHUNKED + HEAD, OK + CONTINUE + CHUNKS + NO_CONTENT + HEAD_OK
    rig = Rig()
    for whole, feed in ((asked, rig.ask), (answered, rig.answer)):
        at = 0
        while at < len(whole):
            step = data.draw(st.integers(1, 60))
            feed(whole[at : at + step])
            at += step
    assert [(method, status) for method, _, status in rig.seen] == [
        ("GET", 200),
        ("POST", 201),
        ("PUT", 204),
        ("HEAD", 200),
    ]
    assert bytes(rig.tape.delivered) == asked
    assert bytes(rig.tape.sent) == answered


def test_what_the_pipe_does_not_take_is_seen_later() -> None:
    rig = Rig(take=10)
    rig.ask(GET)
    rest = bytearray(OK)
    while rest:
        del rest[: rig.observer.send(rest)]
    assert rig.seen == [("GET", "/a?b=c", 200)]
    assert bytes(rig.tape.sent) == OK


def test_an_answer_that_ends_with_its_connection() -> None:
    rig = Rig()
    rig.ask(GET)
    rig.answer(b"HTTP/1.1 200 OK\r\n\r\nas long as it takes")
    assert rig.seen == []
    rig.observer.end()
    assert rig.seen == [("GET", "/a?b=c", 200)]
    assert rig.tape.calls == ["end"]


def test_a_request_without_an_answer_is_not_told() -> None:
    rig = Rig()
    rig.ask(GET)
    rig.observer.on_reset(6)
    assert rig.seen == []
    assert rig.tape.calls == ["on_reset 6"]


def test_an_upgrade_is_complete_when_its_connection_is() -> None:
    rig = Rig()
    rig.ask(b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    rig.answer(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    rig.ask(b"\x81\x05hello" + GET)
    rig.answer(b"\x81\x02ok" + OK)
    assert rig.seen == []
    rig.observer.abort(6)
    assert rig.seen == [("GET", "/ws", 101)]


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01" * 10 + b"\r\n\r\n", b"GET /\n\n", b"A" * 70_000])
def test_what_cannot_be_read_passes_unseen(garbage: bytes) -> None:
    rig = Rig()
    rig.ask(garbage)
    rig.answer(b"\x00" * 100 + b"\r\n\r\n" + OK)
    rig.ask(GET)
    assert rig.seen == []
    assert bytes(rig.tape.delivered) == garbage + GET


def test_a_proxy_header_comes_ahead_of_the_first_request() -> None:
    rig = Rig(proxy_header=True)
    header = encode_v2("1.2.3.4:5", "6.7.8.9:10")
    rig.ask(header[:7])
    rig.ask(header[7:] + GET)
    rig.answer(OK)
    assert rig.seen == [("GET", "/a?b=c", 200)]
    assert bytes(rig.tape.delivered) == header + GET


def test_all_else_passes_through() -> None:
    rig = Rig()
    rig.observer.on_end()
    rig.observer.on_room()
    rig.observer.consume(3)
    assert rig.tape.calls == ["on_end", "on_room", "consume 3"]
