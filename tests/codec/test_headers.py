"""What goes on to the next hop, and what does not."""

import pytest

from portway.codec.headers import Forwarding, request_tail, response_head
from portway.codec.http1 import parse_request, parse_response

PLAIN = Forwarding("203.0.113.7", "https")
DISTRUSTING = Forwarding("203.0.113.7", "https", trusted=False)


def sent(*lines: str, first: str = "GET /x HTTP/1.1", forwarding: Forwarding = PLAIN) -> dict[str, list[str]]:
    """Return the fields that the upstream gets, by lower-case name; ``""`` holds the first line."""
    raw = "".join(f"{line}\r\n" for line in [first, "Host: A.example:8443", *lines, ""]).encode()
    head = parse_request(raw)
    return fields(head.method + b" " + head.target + request_tail(head, forwarding))


def answered(
    *lines: str,
    first: str = "HTTP/1.1 200 OK",
    method: bytes = b"GET",
    keep_alive: bool = True,
    chunking: bool = True,
) -> dict[str, list[str]]:
    raw = "".join(f"{line}\r\n" for line in [first, *lines, ""]).encode()
    return fields(response_head(parse_response(raw, method), keep_alive=keep_alive, chunking=chunking))


def fields(raw: bytes) -> dict[str, list[str]]:
    text = raw.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    assert "\r\n\r\n" not in text[:-4]
    first, *lines = text[:-4].split("\r\n")
    found: dict[str, list[str]] = {"": [first]}
    for line in lines:
        name, value = line.split(":", 1)
        found.setdefault(name.lower(), []).append(value.strip())
    return found


@pytest.mark.row("G-125")
def test_the_usual_request_keeps_its_host_and_gains_the_visitor() -> None:
    assert sent("Accept: */*", "X-Custom:  a b ") == {
        "": ["GET /x HTTP/1.1"],
        "host": ["A.example:8443"],
        "accept": ["*/*"],
        "x-custom": ["a b"],
        "x-forwarded-for": ["203.0.113.7"],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": ["A.example:8443"],
    }


def test_what_earlier_proxies_said_is_appended_to_and_the_host_kept() -> None:
    got = sent(
        "X-Forwarded-For: 192.0.2.1, 192.0.2.2",
        "X-Forwarded-For: 192.0.2.3",
        "x-forwarded-proto: http",
        "X-Forwarded-Host: first.example",
        "X-Forwarded-Port: 80",
        "Forwarded: for=192.0.2.1",
    )
    assert got["x-forwarded-for"] == ["192.0.2.1, 192.0.2.2, 192.0.2.3, 203.0.113.7"]
    assert got["x-forwarded-proto"] == ["http, https"]
    assert got["x-forwarded-host"] == ["first.example"]
    assert got["x-forwarded-port"] == ["80"]
    assert got["forwarded"] == ["for=192.0.2.1"]


def test_distrust_strips_what_the_visitor_claims() -> None:
    got = sent(
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: first.example",
        "X-Forwarded-Port: 80",
        "Forwarded: for=192.0.2.1",
        forwarding=DISTRUSTING,
    )
    assert got["x-forwarded-for"] == ["203.0.113.7"]
    assert got["x-forwarded-proto"] == ["https"]
    assert got["x-forwarded-host"] == ["A.example:8443"]
    assert "x-forwarded-port" not in got
    assert "forwarded" not in got


@pytest.mark.parametrize(
    "name",
    [
        "Ngrok-Auth-User-Email",
        "ngrok-skip-browser-warning",
        "NGROK_AUTH_USER",
        "X_Forwarded_For",
        "x-forwarded_proto",
        "X_Forwarded-Host",
        "X_FORWARDED_PREFIX",
    ],
)
@pytest.mark.parametrize("forwarding", [PLAIN, DISTRUSTING])
def test_names_of_the_service_and_their_aliases_never_pass(name: str, forwarding: Forwarding) -> None:
    got = sent(f"{name}: spoofed", "Accept: */*", forwarding=forwarding)
    assert "spoofed" not in str(got)
    assert got["accept"] == ["*/*"]


def test_fields_of_the_connection_are_dropped() -> None:
    got = sent(
        "Connection: keep-alive, X-Secret, x-other",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABk",
        "X-Secret: 1",
        "X-OTHER: 2",
        "X-Third: 3",
    )
    gone = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "http2-settings",
    }
    assert not (gone | {"x-secret", "x-other"}) & got.keys()
    assert got["x-third"] == ["3"]


def test_connection_cannot_name_away_what_the_service_says() -> None:
    got = sent("Connection: host, content-length, x-forwarded-for", "Content-Length: 4")
    assert got["host"] == ["A.example:8443"]
    assert got["content-length"] == ["4"]
    assert got["x-forwarded-for"] == ["203.0.113.7"]


@pytest.mark.row("G-102")
def test_an_upgrade_is_passed_on() -> None:
    got = sent("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
    assert got["connection"] == ["Upgrade"]
    assert got["upgrade"] == ["websocket"]
    assert got["sec-websocket-key"] == ["k"]


def test_the_framing_is_written_anew() -> None:
    assert sent("Content-Length:\t 05 ")["content-length"] == ["5"]
    assert sent("Content-Length: 0")["content-length"] == ["0"]
    assert sent("Transfer-Encoding:  CHUNKED ")["transfer-encoding"] == ["chunked"]
    assert sent("Expect: 100-CONTINUE", "Content-Length: 1")["expect"] == ["100-continue"]
    assert "expect" not in sent("Expect: 100-continue")
    assert sent("TE: trailers, deflate")["te"] == ["trailers"]
    assert "te" not in sent("TE: deflate")


def test_an_absolute_target_becomes_a_path_and_the_version_ours() -> None:
    assert sent(first="GET http://a.example:8443/p?q HTTP/1.1")[""] == ["GET /p?q HTTP/1.1"]
    assert sent(first="GET / HTTP/1.0")[""] == ["GET / HTTP/1.1"]


# -- answers


def test_the_usual_answer_goes_on_as_it_is() -> None:
    assert answered("Content-Length: 5", "Server: x", "Set-Cookie: a", "Set-Cookie: b") == {
        "": ["HTTP/1.1 200 OK"],
        "server": ["x"],
        "set-cookie": ["a", "b"],
        "content-length": ["5"],
    }


def test_an_upstream_cannot_set_our_error_code() -> None:
    for name in ("Ngrok-Error-Code", "ngrok_error_code", "ngrok-error_code"):
        assert answered(f"{name}: ERR_NGROK_1", "Content-Length: 0").keys() == {"", "content-length"}


def test_fields_of_the_upstream_connection_are_dropped() -> None:
    got = answered(
        "Connection: keep-alive, X-Hop", "Keep-Alive: 1", "X-Hop: 1", "Upgrade: h2c", "Content-Length: 0"
    )
    assert got.keys() == {"", "content-length"}
    got = answered("Connection: close", "Content-Length: 0")
    assert "connection" not in got


def test_the_visitor_is_told_when_its_connection_ends() -> None:
    assert answered("Content-Length: 0", keep_alive=False)["connection"] == ["close"]
    assert "connection" not in answered(first="HTTP/1.1 100 Continue", keep_alive=False)


def test_framing_of_answers() -> None:
    assert answered("Content-Length:\t007 ")["content-length"] == ["7"]
    assert answered("Transfer-Encoding: Chunked")["transfer-encoding"] == ["chunked"]
    assert "transfer-encoding" not in answered("Transfer-Encoding: chunked", chunking=False)
    assert answered("Content-Length: 7", method=b"HEAD")["content-length"] == ["7"]
    assert answered("Content-Length: 7", first="HTTP/1.1 304 X")["content-length"] == ["7"]
    assert "content-length" not in answered("Content-Length: 7", first="HTTP/1.1 204 X")


def test_an_accepted_upgrade_is_passed_on() -> None:
    lines = ("Connection: upgrade", "Upgrade: websocket", "Content-Length: 0")
    got = answered(*lines, first="HTTP/1.1 101 Switching Protocols")
    assert got["connection"] == ["Upgrade"]
    assert got["upgrade"] == ["websocket"]
    assert "content-length" not in got


def test_the_services_own_api_hears_which_version_its_client_speaks() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: api.example\r\nNgrok-Version: 2\r\nNgrok_Version: 1\r\nNgrok-X: y\r\n\r\n"
    head = parse_request(raw)
    assert "ngrok-version" not in fields(b"GET /" + request_tail(head, PLAIN))
    heard = fields(b"GET /" + request_tail(head, PLAIN, for_service=True))
    assert heard["ngrok-version"] == ["2"]
    assert not {"ngrok_version", "ngrok-x"} & set(heard)
