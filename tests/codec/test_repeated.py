"""Readers that remember give exactly what the parsers give, whatever came before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from portway.codec.http1 import RequestHead, ResponseHead, parse_request, parse_response
from portway.codec.repeated import REMEMBERED, AnswerReader, RequestReader
from portway.errors import HttpError

LINES = [
    b"GET / HTTP/1.1", b"GET /a?b HTTP/1.1", b"HEAD / HTTP/1.1", b"POST /x HTTP/1.1", b"GET / HTTP/1.0",
    b"GET http://a/ HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT / HTTP/1.1", b"CONNECT a:80 HTTP/1.1",
    b"GET /#f HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\x80 HTTP/1.1", b"GET / HTTP/2.0", b"GET", b"",
    b"\r\nGET / HTTP/1.1",
]  # fmt: skip
FIELDS = [
    b"Host: a", b"Host: a\r\nContent-Length: 5", b"Host: a\r\nTransfer-Encoding: chunked", b"Host: b\r\nX: y",
    b"Host: a\r\nConnection: upgrade\r\nUpgrade: websocket",
    b"Host: a\r\nExpect: 100-continue\r\nContent-Length: 1",
    b"Host: a\r\nHost: b", b"X: y", b"Host: a\r\nConnection: close", b"Host: a\r\nX: " + b"y" * REMEMBERED,
    b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
]  # fmt: skip
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * REMEMBERED + b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
]


def of_request(raw: bytes, reader: RequestReader | None = None) -> RequestHead | tuple[int, str]:
    try:
        return parse_request(raw) if reader is None else reader.read(raw)
    except HttpError as error:
        return error.status, error.reason


def of_answer(raw: bytes, method: bytes, reader: AnswerReader | None = None) -> ResponseHead | int:
    try:
        return parse_response(raw, method) if reader is None else reader.read(raw, method)
    except HttpError as error:
        return error.status


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(FIELDS)), min_size=1, max_size=12))
def test_requests_are_read_as_if_nothing_had_come_before(heads: list[tuple[bytes, bytes]]) -> None:
    reader = RequestReader()
    for line, fields in heads:
        raw = line + b"\r\n" + fields + b"\r\n\r\n"
        for _ in range(2):
            assert of_request(raw, reader) == of_request(raw)


@given(
    st.lists(st.tuples(st.sampled_from(ANSWERS), st.sampled_from([b"GET", b"HEAD"])), min_size=1, max_size=12)
)
def test_answers_are_read_as_if_nothing_had_come_before(heads: list[tuple[bytes, bytes]]) -> None:
    reader = AnswerReader()
    for raw, method in heads:
        for _ in range(2):
            assert of_answer(raw, method, reader) == of_answer(raw, method)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_values_that_change_give_what_the_parser_gives(data: st.DataObject) -> None:
    """The same fields again and again, with one or two values altered, mangled or made special."""
    names = data.draw(
        st.lists(st.sampled_from([b"X", b"Cookie", b"Referer", b"TE", b"Connection", b"ngrok-x"]), max_size=5)
    )
    fields = [[b"Host", b" a"], *([name, b" 1"] for name in names)]
    reader = RequestReader()
    for _ in range(6):
        raw = b"GET / HTTP/1.1\r\n" + b"".join(b":".join(field) + b"\r\n" for field in fields) + b"\r\n"
        assert of_request(raw, reader) == of_request(raw)
        for field in data.draw(st.lists(st.sampled_from(fields), max_size=2)):
            field[data.draw(st.sampled_from([1, 1, 1, 0]))] = data.draw(
                st.sampled_from(
                    [b"", b"b", b" X", b" keep-alive, x", b"\r", b"\n", b":", b"\0", b"\xff", b" \t"]
                )
            )


def test_other_values_are_not_read_again() -> None:
    """What a browser changes from one request to the next costs no second look at the rest."""
    reader = RequestReader()
    first = reader.read(b"GET /1 HTTP/1.1\r\nHost: a\r\nCookie: 1\r\nA: b\r\n\r\n")
    other = reader.read(b"GET /2 HTTP/1.1\r\nHost: a\r\nCookie: 2\r\nA: b\r\n\r\n")
    assert other.special is first.special
    assert (first.plain, other.plain) == ([b"Cookie: 1", b"A: b"], [b"Cookie: 2", b"A: b"])
    assert reader.read(b"GET /2 HTTP/1.1\r\nHost: a\r\nCookie: 2\r\nA: b\r\n\r\n").plain is other.plain


def test_what_repeats_is_not_read_again() -> None:
    requests, answers = RequestReader(), AnswerReader()
    first = requests.read(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    again = requests.read(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert again.plain is first.plain
    assert again.target == b"/2"
    assert answers.read(ANSWERS[0], b"GET") is answers.read(bytes(bytearray(ANSWERS[0])), b"GET")


def test_large_heads_are_not_kept() -> None:
    requests, answers = RequestReader(), AnswerReader()
    large = b"GET / HTTP/1.1\r\n" + FIELDS[9] + b"\r\n\r\n"
    assert requests.read(large).plain is not requests.read(large).plain
    assert answers.read(ANSWERS[4], b"GET") is not answers.read(ANSWERS[4], b"GET")
