"""Heads as policies see them, and as they are written back."""

import pytest

from portway.codec.headers import Forwarding, request_tail
from portway.codec.http1 import parse_request, parse_response
from portway.edge.policy_facts import (
    is_event_stream,
    mapped_back,
    request_of,
    response_of,
    write_request,
    write_response,
)
from portway.policy.facts import Response

HEAD = (
    b"POST /a?b HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3\r\n"
    b"Connection: x-hop, keep-alive\r\nX-Hop: 1\r\n"
    b"Ngrok-Auth-User-Id: forged\r\nX-Forwarded-For: 10.0.0.1\r\nExpect: 100-continue\r\nX-Kept: 2\r\n\r\n"
)


def test_a_policy_sees_what_the_upstream_would_get() -> None:
    request = request_of(parse_request(HEAD), "https", Forwarding("192.0.2.1", "https"), 1.0)
    assert (request.method, request.url, request.version) == ("POST", "https://app.example/a?b", "HTTP/1.1")
    assert request.get(b"x-forwarded-for") == [b"10.0.0.1, 192.0.2.1"]
    assert request.get(b"x-forwarded-proto") == [b"https"]
    assert request.get(b"content-length") == [b"3"]
    assert request.get(b"x-kept") == [b"2"]
    assert request.get(b"x-hop") == request.get(b"ngrok-auth-user-id") == []


def test_what_it_changes_is_written_and_framing_is_not_its_own() -> None:
    head = parse_request(HEAD)
    request = request_of(head, "https", Forwarding("192.0.2.1", "https"), 1.0)
    request.set(b"host", b"other.example")
    request.set(b"content-length", b"999")
    request.add(b"x-hop", b"mine")
    request.remove((b"x-forwarded-for",))
    request.target = "/new"
    written = write_request(request, head)
    raw = written.method + b" " + written.target + request_tail(written, None)
    again = parse_request(raw)
    assert (again.target, again.authority, again.framing) == (b"/new", b"other.example", head.framing)
    assert again.expect_continue
    assert b"x-hop: mine" in raw
    assert b"orwarded-for" not in raw
    assert raw.count(b"999") == 0


def test_answers_are_seen_and_written_without_what_ends_here() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
        b"ngrok-error-code: ERR_NGROK_1\r\n"
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    )
    head = parse_response(raw, b"GET")
    response = response_of(head)
    assert response.get(b"set-cookie") == [b"a=1", b"b=2"]
    assert response.get(b"x-hop") == response.get(b"ngrok-error-code") == []
    response.add(b"x-hop", b"2")
    written = write_response(response, head)
    assert written.plain == [b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"x-hop: 2"]
    assert written.framing == head.framing
    assert b"connection" not in written.special


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"http://inner:8080/x?y#z", b"https://app.example/x?y#z"),
        (b"HTTP://INNER:8080", b"https://app.example"),
        (b"http://inner:8080?x", b"https://app.example?x"),
        (b"http://inner/x", b"http://inner/x"),
        (b"http://inner:8080.evil.example/", b"http://inner:8080.evil.example/"),
        (b"/x", b"/x"),
        (b"ftp://inner:8080/", b"ftp://inner:8080/"),
    ],
)
def test_locations_are_mapped_back(location: bytes, expected: bytes) -> None:
    assert mapped_back(location, b"app.example", b"inner:8080", "https") == expected


def test_event_streams_are_known() -> None:
    assert is_event_stream(Response(200, [(b"Content-Type", b"Text/Event-Stream; charset=utf-8")]))
    assert not is_event_stream(Response(200, [(b"content-type", b"text/plain")]))
    assert not is_event_stream(Response(200, []))
    coded = [(b"content-type", b"text/event-stream"), (b"content-encoding", b"gzip")]
    assert not is_event_stream(Response(200, coded))
