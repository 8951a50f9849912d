"""Heads: what is served, what is refused and with which status."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.codec.http1 import (
    CHUNKED,
    MAX_FIELDS,
    MAX_HEAD,
    NO_BODY,
    UNTIL_CLOSE,
    Framing,
    Kind,
    RequestHead,
    find_head,
    parse_authority,
    parse_request,
    parse_response,
)
from portway.errors import HttpError


def head(*lines: str, first: str = "GET / HTTP/1.1", host: str | None = "a.example") -> bytes:
    fields = ([] if host is None else [f"Host: {host}"]) + list(lines)
    return "".join(f"{line}\r\n" for line in [first, *fields, ""]).encode("latin-1")


def status_of(raw: bytes) -> int:
    """Return what a request would be answered with, 200 when it is served."""
    try:
        parse_request(raw)
    except HttpError as error:
        return error.status
    return 200


# -- finding the end


def test_the_end_of_a_head_is_found_in_one_look() -> None:
    raw = head("X: y")
    assert find_head(raw + b"body") == len(raw)


@given(st.integers(1, 40))
def test_the_end_of_a_dripped_head_is_found(step: int) -> None:
    raw = head("X: y")
    buffer = bytearray()
    looked, found = 0, -1
    for start in range(0, len(raw), step):
        buffer += raw[start : start + step]
        found = find_head(buffer, looked)
        looked = len(buffer)
    assert found == len(raw)


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\n", b"\n", b"GET / HTTP/1.1\r\nHost: a\nX: y"])
def test_a_bare_line_feed_is_refused_before_the_end_comes(raw: bytes) -> None:
    with pytest.raises(HttpError, match="bare LF"):
        find_head(raw)
    buffer = bytearray()
    with pytest.raises(HttpError, match="bare LF"):  # noqa: PT012 - any byte may be the one
        for looked, byte in enumerate(raw):
            buffer.append(byte)
            find_head(buffer, looked)


def test_what_is_not_http_is_refused_at_its_first_byte() -> None:
    for raw in (b"\x16\x03\x01", b" GET", b"<"):
        with pytest.raises(HttpError, match="not HTTP"):
            find_head(raw)
    assert find_head(b"") == find_head(b"\r") == find_head(b"\r\nG") == -1


def test_a_head_of_a_mebibyte_is_the_limit() -> None:
    frame = len(head("X: "))
    assert find_head(head("X: " + "v" * (MAX_HEAD - frame))) == MAX_HEAD
    for raw in (head("X: " + "v" * (MAX_HEAD - frame + 1)), b"G" * MAX_HEAD):
        with pytest.raises(HttpError) as caught:
            find_head(raw)
        assert caught.value.status == 431
    assert find_head(b"G" * (MAX_HEAD - 1)) == -1


# -- requests that are served


def test_a_plain_request_is_taken_apart() -> None:
    raw = head("User-Agent: x", "Accept: */*", first="GET /a?b=c HTTP/1.1", host="App.Example:8080")
    request = parse_request(raw)
    assert (request.method, request.target, request.minor) == (b"GET", b"/a?b=c", 1)
    assert (request.host, request.port, request.authority) == ("app.example", 8080, b"App.Example:8080")
    assert (request.framing, request.keep_alive, request.upgrade) == (NO_BODY, True, None)
    assert request.headers == [(b"host", b"App.Example:8080"), (b"User-Agent", b"x"), (b"Accept", b"*/*")]
    assert request.size == len(raw)
    assert request.version == "HTTP/1.1"
    assert not request.suspect


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        (["Content-Length: 5"], Framing(Kind.LENGTH, 5)),
        (["Content-Length:\t5 "], Framing(Kind.LENGTH, 5)),
        (["content-length: 005"], Framing(Kind.LENGTH, 5)),
        (["Content-Length: 0"], NO_BODY),
        (["Transfer-Encoding: chunked"], CHUNKED),
        (["transfer-encoding:Chunked"], CHUNKED),
        ([], NO_BODY),
    ],
)
def test_framing_of_a_request(lines: list[str], framing: Framing) -> None:
    assert parse_request(head(*lines)).framing == framing


def test_http_1_0_is_served_without_keep_alive() -> None:
    request = parse_request(head("Connection: keep-alive", first="GET / HTTP/1.0"))
    assert not request.keep_alive
    assert request.version == "HTTP/1.0"
    assert status_of(head(first="GET / HTTP/1.0", host=None)) == 400
    assert status_of(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0")) == 400


def test_connection_close_in_any_place_ends_keep_alive() -> None:
    assert not parse_request(head("Connection: Close")).keep_alive
    assert not parse_request(head("Connection: x", "Connection: y , close")).keep_alive
    assert parse_request(head("Connection: closed")).keep_alive


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        (["Connection: Upgrade", "Upgrade: WebSocket"], b"websocket"),
        (["Connection: keep-alive, Upgrade", "Upgrade: websocket"], b"websocket"),
        (["Upgrade: websocket"], None),
        (["Connection: Upgrade"], None),
        (["Connection: Upgrade", "Upgrade: h2c"], None),
        (["Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket, h2c"], None),
        (["Connection: Upgrade", "Upgrade: websocket", "Content-Length: 4"], None),
        (["Connection: Upgrade", "Upgrade: websocket", "Upgrade: other"], None),
        (["Connection: Upgrade", "Upgrade:"], None),
    ],
)
def test_upgrades(lines: list[str], upgrade: bytes | None) -> None:
    assert parse_request(head(*lines)).upgrade == upgrade


def test_expectations() -> None:
    assert parse_request(head("Expect: 100-Continue", "Content-Length: 1")).expect_continue
    assert not parse_request(head("Expect: 100-continue")).expect_continue
    assert not parse_request(
        head("Expect: 100-continue", "Content-Length: 1", first="PUT / HTTP/1.0")
    ).expect_continue
    assert status_of(head("Expect: 200-ok")) == 417
    assert status_of(head("Expect: 100-continue", "Expect: 100-continue")) == 417


@pytest.mark.parametrize(
    ("first", "target", "scheme"),
    [
        ("GET http://a.example/x?y HTTP/1.1", b"/x?y", b"http"),
        ("GET HTTPS://A.example HTTP/1.1", b"/", b"https"),
        ("GET http://a.example?q HTTP/1.1", b"/?q", b"http"),
        ("OPTIONS http://a.example HTTP/1.1", b"*", b"http"),
        ("OPTIONS * HTTP/1.1", b"*", None),
    ],
)
def test_other_forms_of_target(first: str, target: bytes, scheme: bytes | None) -> None:
    request = parse_request(head(first=first))
    assert (request.target, request.scheme, request.host) == (target, scheme, "a.example")


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        (b"a.example", "a.example", None),
        (b"A.Example.:080", "a.example", 80),
        (b"a.example:", "a.example", None),
        (b"[::1]:7080", "[::1]", 7080),
        (b"127.0.0.1", "127.0.0.1", None),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example", None),
        (b"a_b.example", "a_b.example", None),
    ],
)
def test_hosts(value: bytes, host: str, port: int | None) -> None:
    assert parse_authority(value) == (host, port)


def test_one_empty_line_before_a_request_is_ignored() -> None:
    assert status_of(b"\r\n" + head()) == 200
    assert status_of(b"\r\n\r\n" + head()) == 400


def test_names_that_only_the_service_sets_are_noticed() -> None:
    for name in ("X-Forwarded-For", "X_Forwarded_Proto", "Ngrok-Auth-User", "ngrok_x", "Forwarded"):
        assert parse_request(head(f"{name}: 1")).suspect, name
    assert parse_request(b"GET / HTTP/1.1\r\nNgrok-A: b\r\nHost: a\r\n\r\n").suspect


# -- requests that are refused


@pytest.mark.parametrize(
    "raw",
    [
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Content-Length: 5", "Content-Length: 6"),
        head("Content-Length: 5", "Content-Length: 5"),
        head("Content-Length: 5, 5"),
        head("Content-Length: +5"),
        head("Content-Length: -5"),
        head("Content-Length: 0x5"),
        head("Content-Length: 5 5"),
        head("Content-Length: 5_0"),
        head("Content-Length:"),
        head("Content-Length: 1234567890123456789"),
        head("Content-Length: \u0665".encode().decode("latin-1")),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: chunked, chunked"),
        head("Transfer-Encoding: identity"),
        head("Transfer-Encoding: xchunked"),
        head("Transfer-Encoding: \x0bchunked"),
        head("Transfer-Encoding: chunked\t"),  # found by fuzzing: httptools takes the tab for a coding's name
        head("X: y", "TRANSFER-encoding: \tchunked"),
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        head("Transfer-Encoding:"),
        head("Transfer-Encoding : chunked"),
        head("Host: b.example"),
        head("host: a.example"),
        head(host=None),
        head(host=""),
        head(host="."),
        head(host="user@a.example"),
        head(host="a.example/x"),
        head(host="a.example, b.example"),
        head(host="a b"),
        head(host="b\u00fccher.example"),
        head(host="a.example:0"),
        head(host="a.example:65536"),
        head(host="a.example:+80"),
        head(host="a.example:80:80"),
        head(host="::1"),
        head(host="x" * 256),
        head("X : y"),
        head(" X: y"),
        head("\tfolded"),
        head("X: y", " folded"),
        head("X"),
        head(": y"),
        head("X\x00: y"),
        head("X: a\x00b"),
        head("X: a\x7fb"),
        head("X: a\rb"),
        head("X: a\nY: b"),
        head("X(: y"),
        head("X\u00e9: y"),
        head(first="GET  / HTTP/1.1"),
        head(first="GET / HTTP/1.1 "),
        head(first=" GET / HTTP/1.1"),
        head(first="GET\t/ HTTP/1.1"),
        head(first="GET / HTTP/1.1\r"),
        head(first="GET /a b HTTP/1.1"),
        head(first="GET / http/1.1"),
        head(first="GET / HTTP/1.10"),
        head(first="GET / HTTP/1"),
        head(first="GET / HTTPS/1.1"),
        head(first="GET /"),
        head(first="G\u00e9T / HTTP/1.1"),
        head(first="GET /\u00e9 HTTP/1.1"),
        head(first="GET /\x00 HTTP/1.1"),
        head(first="GET /#f HTTP/1.1"),
        head(first="GET * HTTP/1.1"),
        head(first="GET x HTTP/1.1"),
        head(first="GET a.example:80 HTTP/1.1"),
        head(first="GET http://b.example/ HTTP/1.1"),
        head(first="GET http://a.example:80/ HTTP/1.1"),
        head(first="GET http://u@a.example/ HTTP/1.1"),
        head(first="GET http:///x HTTP/1.1"),
        head(first="GET http://a.example/#f HTTP/1.1"),
        head(first="GET ftp://a.example/ HTTP/1.1"),
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_malformed_and_ambiguous_requests_are_refused(raw: bytes) -> None:
    assert status_of(raw) == 400


@pytest.mark.parametrize("version", ["2.0", "0.9", "1.2", "3.0", "1.9"])
def test_other_versions_are_not_spoken(version: str) -> None:
    assert status_of(head(first=f"GET / HTTP/{version}")) == 505


def test_connect_is_not_served() -> None:
    assert status_of(head(first="CONNECT a.example:443 HTTP/1.1")) == 501
    assert status_of(head(first="CONNECT / HTTP/1.1")) == 501
    assert status_of(b"PRI * HTTP/2.0\r\n\r\n") == 505


def test_fields_are_counted() -> None:
    assert status_of(head(*["X: y"] * (MAX_FIELDS - 1))) == 200
    assert status_of(head(*["X: y"] * MAX_FIELDS)) == 431


@pytest.mark.parametrize(
    "hostile",
    [
        head("X: " + " " * 1_000_000),
        head("X:" + "\t a" * 300_000),
        head("a" * 1_000_000),
        head("a" * 1_000_000 + ": b", "\x00"),
        head(*["X: y"] * 160_000, "\x00"),
        b"G" * 1_000_000 + b"\r\n\r\n",
        head(host="a" * 1_000_000),
        head("Content-Length: " + "5" * 1_000_000),
    ],
)
def test_a_hostile_head_costs_linear_time(hostile: bytes) -> None:
    began = time.process_time()
    status_of(hostile)
    assert time.process_time() - began < 0.5  # a backtracking expression takes hours


# -- responses


def answer(*lines: str, first: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in [first, *lines, ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("raw", "method", "framing", "keep_alive"),
    [
        (answer("Content-Length: 5"), b"GET", Framing(Kind.LENGTH, 5), True),
        (answer("Content-Length: 5", "Connection: close"), b"GET", Framing(Kind.LENGTH, 5), False),
        (answer("Transfer-Encoding: chunked"), b"GET", CHUNKED, True),
        (answer(), b"GET", UNTIL_CLOSE, False),
        (answer("Content-Length: 5"), b"HEAD", NO_BODY, True),
        (answer("Transfer-Encoding: chunked"), b"HEAD", NO_BODY, True),
        (answer(), b"HEAD", NO_BODY, True),
        (answer("Content-Length: 5", first="HTTP/1.1 204 No Content"), b"GET", NO_BODY, True),
        (answer("Content-Length: 5", first="HTTP/1.1 304 Not Modified"), b"GET", NO_BODY, True),
        (answer(first="HTTP/1.1 100 Continue"), b"POST", NO_BODY, True),
        (answer("Content-Length: 5", first="HTTP/1.0 200 OK"), b"GET", Framing(Kind.LENGTH, 5), False),
        (
            answer("Content-Length: 5", "Connection: keep-alive", first="HTTP/1.0 200 OK"),
            b"GET",
            Framing(Kind.LENGTH, 5),
            True,
        ),
    ],
)
def test_framing_of_a_response(raw: bytes, method: bytes, framing: Framing, keep_alive: bool) -> None:
    response = parse_response(raw, method)
    assert (response.framing, response.keep_alive) == (framing, keep_alive)


@pytest.mark.parametrize(
    ("first", "status", "reason"),
    [
        ("HTTP/1.1 200 OK", 200, b"OK"),
        ("HTTP/1.1 200 ", 200, b""),
        ("HTTP/1.1 200", 200, b""),
        ("HTTP/1.1 599 na\u00efve reason", 599, b"na\xefve reason"),
    ],
)
def test_status_lines(first: str, status: int, reason: bytes) -> None:
    response = parse_response(answer(first=first), b"GET")
    assert (response.status, response.reason) == (status, reason)


def test_fields_of_a_response_are_taken_apart() -> None:
    response = parse_response(answer("Upgrade: WebSocket", "Connection: upgrade", "X: y "), b"GET")
    assert response.upgrade == b"websocket"
    assert response.headers == [(b"upgrade", b"WebSocket"), (b"connection", b"upgrade"), (b"X", b"y")]


@pytest.mark.parametrize(
    "raw",
    [
        answer("Content-Length: 5", "Content-Length: 6"),
        answer("Content-Length: 5, 6"),
        answer("Content-Length: +5"),
        answer("Content-Length: 5", "Transfer-Encoding: chunked"),
        answer("Transfer-Encoding: gzip, chunked"),
        answer("Transfer-Encoding: chunked\t"),
        answer("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"),
        answer("X: y\n"),
        answer(" folded"),
        answer("X : y"),
        answer("X: a\x00b"),
        answer(*["X: y"] * (MAX_FIELDS + 1)),
        answer(first="HTTP/1.1 101 Switching Protocols"),
        answer("Upgrade: websocket", first="HTTP/1.1 101 Switching Protocols"),
        answer("Connection: upgrade", "Upgrade:", first="HTTP/1.1 101 Switching Protocols"),
        answer(first="HTTP/1.1 20 OK"),
        answer(first="HTTP/1.1 2000 OK"),
        answer(first="HTTP/1.1 000 OK"),
        answer(first="HTTP/1.1  200 OK"),
        answer(first="HTTP/1.1 200OK"),
        answer(first="HTTP/2.0 200 OK"),
        answer(first="HTTP/1.2 200 OK"),
        answer(first="http/1.1 200 OK"),
        answer(first="HTTP/1.1 200 a\rb"),
        answer(first="ICY 200 OK"),
        b"\r\n" + answer(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"<html>\r\n\r\n",
    ],
)
def test_malformed_responses_are_refused(raw: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        parse_response(raw, b"GET")
    assert caught.value.status == 502


@given(st.binary(max_size=200))
def test_any_bytes_give_a_head_or_the_error(noise: bytes) -> None:
    for raw in (noise, head() + noise, head("X: ").replace(b"X: ", b"X: " + noise)):
        try:
            assert isinstance(parse_request(raw), RequestHead)
        except HttpError:
            pass
        try:
            parse_response(raw, b"GET")
        except HttpError as error:
            assert error.status == 502  # noqa: PT017 - either outcome is right
