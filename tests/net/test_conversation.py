"""What is said to a proxy, byte by byte, and what a hostile one may answer."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.errors import ConnectError
from portway.net.conversation import HEAD_LIMIT, Conversation, HttpConnect, Socks5, conversation_with
from portway.net.proxy_url import parse_proxy_url

ALADDIN = b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # of RFC 7617
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def http(login: str = "", host: str = "service.test") -> Conversation:
    return conversation_with(parse_proxy_url(f"http://{login}proxy.test:3128", "it"), host, 4443)


def socks(login: str = "", host: str = "service.test") -> Conversation:
    return conversation_with(parse_proxy_url(f"socks5://{login}proxy.test", "it"), host, 4443)


def cuts(whole: bytes) -> list[list[bytes]]:
    """Return the ways to deliver something: at once, byte by byte, and in any two pieces."""
    single = [bytes([byte]) for byte in whole]
    return [[whole], single, *([whole[:at], whole[at:]] for at in range(1, len(whole)))]


def play(talk: Conversation, *turns: tuple[bytes, bytes | None], piece: int = 1 << 20) -> None:
    """Feed each turn's first part; the answer must be its second, where that is given."""
    for said, answer in turns:
        got = b"".join(talk.feed(said[at : at + piece]) for at in range(0, len(said), piece))
        assert answer is None or got == answer


# -- CONNECT


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    ("login", "host", "request_"),
    [
        ("", "service.test", b"CONNECT service.test:4443 HTTP/1.1\r\nHost: service.test:4443\r\n\r\n"),
        ("", "::1", b"CONNECT [::1]:4443 HTTP/1.1\r\nHost: [::1]:4443\r\n\r\n"),
        (
            "",
            "bücher.test",
            b"CONNECT xn--bcher-kva.test:4443 HTTP/1.1\r\nHost: xn--bcher-kva.test:4443\r\n\r\n",
        ),
        (
            "Aladdin:open%20sesame@",
            "h",
            b"CONNECT h:4443 HTTP/1.1\r\nHost: h:4443\r\nProxy-Authorization: Basic " + ALADDIN + b"\r\n\r\n",
        ),
    ],
)
def test_the_request(login: str, host: str, request_: bytes) -> None:
    assert http(login, host).begin() == request_


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    "head",
    [
        OK,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 204 \nVia: x\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" + OK,
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x16\x03\x03", b"\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n"])
def test_consent_and_what_comes_behind_the_head(head: bytes, rest: bytes) -> None:
    for pieces in cuts(head):
        talk = http()
        talk.begin()
        for piece, following in pairwise([*pieces, b""]):
            assert not talk.done
            assert talk.feed(piece + (rest if not following else b"")) == b""
        assert talk.done
        assert talk.rest == rest


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    ("login", "status", "says"),
    [
        ("", b"407 Log in", "answered 407 Proxy Authentication Required: put user:password@ before the host"),
        ("ann:secret@", b"407 Log in", "it refuses the user and password"),
        (
            "",
            b"403 \x1b[2JForbidden",
            "answered 403 Forbidden: it does not allow CONNECT to service.test:4443",
        ),
        ("", b"502 Bad", "it cannot reach service.test:4443"),
        ("", b"503", "answered 503 Service Unavailable: it cannot reach"),
        ("", b"504 Late", "it cannot reach"),
        ("", b"302 Found", "answered 302 Found: it did not connect"),
        ("", b"101 Switching Protocols", "answered 101 Switching Protocols: it did not connect"),
        ("", b"799 Whatever", "answered 799: it did not connect"),
    ],
)
def test_refusals_say_what_to_do(login: str, status: bytes, says: str) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nX: y\r\n\r\n"
    for pieces in cuts(answer):
        talk = http(login)
        for piece in pieces[:-1]:
            talk.feed(piece)
        with pytest.raises(ConnectError) as caught:
            talk.feed(pieces[-1])
        assert caught.value.step == "proxy"
        assert str(caught.value).startswith("the proxy http://proxy.test:3128 ")
        assert says in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "\x1b" not in str(caught.value), "a proxy's words do not reach the terminal"


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        b"\x05\x00",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_answer_in_http(answer: bytes) -> None:
    with pytest.raises(ConnectError, match="does not answer in HTTP"):
        play(http(), (answer, b""))
    with pytest.raises(ConnectError, match="does not answer in HTTP"):
        play(http(), (answer, b""), piece=1)


@pytest.mark.row("A18")
@pytest.mark.parametrize("piece", [1, 1000, 1 << 20])
def test_an_endless_head(piece: int) -> None:
    start = b"HTTP/1.1 200 OK\r\nX: "
    play(http(), (start.ljust(HEAD_LIMIT, b"x"), b""), piece=piece)
    with pytest.raises(ConnectError, match="more than 16384 bytes"):
        play(http(), (start.ljust(HEAD_LIMIT + 1, b"x"), b""), piece=piece)
    with pytest.raises(ConnectError, match="more than 16384 bytes"):
        play(http(), (start.ljust(HEAD_LIMIT - 3, b"x") + b"\r\n\r\n", b""), piece=piece)
    talk = http()
    play(talk, (start.ljust(HEAD_LIMIT - 4, b"x") + b"\r\n\r\n", b""), piece=piece)
    assert talk.done


@pytest.mark.row("A18")
def test_endless_interim_answers() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    talk = http()
    for _ in range(HEAD_LIMIT // len(interim)):
        talk.feed(interim)
    with pytest.raises(ConnectError, match="more than 16384 bytes"):
        talk.feed(interim)
    with pytest.raises(ConnectError, match="more than 16384 bytes"):
        http().feed(interim * 1000)


# -- SOCKS5

REQUEST = b"\x05\x01\x00\x03\x0cservice.test\x11\x5b"
GRANTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


@pytest.mark.row("A18")
@pytest.mark.parametrize("piece", [1, 100])
@pytest.mark.parametrize(
    "reply",
    [
        GRANTED,
        b"\x05\x00\x00\x04" + bytes(16) + b"\x11\x5b",
        b"\x05\x00\xff\x03\x00\x00\x00",
        b"\x05\x00\x00\x03\x04host\x00\x50",
        b"\x05\x00\x00\x03\xff" + bytes(255) + b"\x00\x50",
    ],
)
def test_socks5_without_a_login(reply: bytes, piece: int) -> None:
    talk = socks()
    assert talk.begin() == b"\x05\x01\x00"
    play(talk, (b"\x05\x00", REQUEST), (reply[:-1], b""), piece=piece)
    assert not talk.done
    assert talk.feed(reply[-1:] + b"behind it") == b""
    assert talk.done
    assert talk.rest == b"behind it"


@pytest.mark.row("A18")
@pytest.mark.parametrize("piece", [1, 100])
def test_socks5_with_a_login(piece: int) -> None:
    talk = socks("ann:s%C3%A9cret@")
    assert talk.begin() == b"\x05\x02\x00\x02"
    login = b"\x01\x03ann\x07s\xc3\xa9cret"
    play(talk, (b"\x05\x02", login), (b"\x01\x00", REQUEST), (GRANTED, b""), piece=piece)
    assert talk.done
    open_house = socks("ann:secret@")
    play(open_house, (b"\x05\x00", REQUEST), (GRANTED, b""), piece=piece)
    assert open_house.done, "a proxy that asks for no login gets none"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
        ("192.0.2.1.example", b"\x03\x11192.0.2.1.example"),
        ("bücher.test", b"\x03\x12xn--bcher-kva.test"),
    ],
)
def test_how_a_host_goes_to_socks5(host: str, address: bytes) -> None:
    talk = socks(host=host)
    talk.begin()
    assert talk.feed(b"\x05\x00") == b"\x05\x01\x00" + address + b"\x11\x5b"


@pytest.mark.row("A18")
@pytest.mark.parametrize(
    ("login", "said", "says"),
    [
        ("", [b"HTTP/1.1 400 Bad"], "does not answer in SOCKS5"),
        ("", [b"\x04\x5b"], "does not answer in SOCKS5"),
        ("", [b"\x05\xff"], "wants a login: put user:password@"),
        ("", [b"\x05\x02"], "wants a login: put user:password@"),
        ("", [b"\x05\x01"], "a login of another kind"),
        ("ann:secret@", [b"\x05\xff"], "a login of another kind"),
        ("ann:secret@", [b"\x05\x01"], "a login of another kind"),
        ("ann:secret@", [b"\x05\x02", b"\x01\x01"], "refuses the user and password"),
        ("ann:secret@", [b"\x05\x02", b"\x05\x00"], "does not answer in SOCKS5"),
        ("", [b"\x05\x00", b"\x04"], "does not answer in SOCKS5"),
        (
            "",
            [b"\x05\x00", b"\x05\x02"],
            r"answered 2 \(not allowed by its rules\) to CONNECT to service.test:4443",
        ),
        ("", [b"\x05\x00", b"\x05\x05\x00\x01"], r"answered 5 \(connection refused\)"),
        ("", [b"\x05\x00", b"\x05\x63"], r"answered 99 \(a reply that SOCKS5 does not have\)"),
        ("", [b"\x05\x00", b"\x05\x00\x00\x02\x00"], "malformed reply: address type 2"),
    ],
)
def test_refusals_of_socks5(login: str, said: list[bytes], says: str) -> None:
    for piece in (1, 100):
        parts = [each[at : at + piece] for each in said for at in range(0, len(each), piece)]
        with pytest.raises(ConnectError, match=says) as caught:
            play(socks(login), *((part, None) for part in parts))
        assert caught.value.step == "proxy"
        assert "secret" not in str(caught.value)


# -- both


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("host", ["a b", "a\r\nX: y", "a\x00", "", "a" * 256, "é" * 100, "a..é"])
def test_a_host_that_would_break_the_request(scheme: str, host: str) -> None:
    proxy = parse_proxy_url(f"{scheme}://proxy.test", "it")
    with pytest.raises(ConnectError, match="no host's name") as caught:
        conversation_with(proxy, host, 4443)
    assert caught.value.step == "proxy"


def test_it_shows_itself_without_the_login() -> None:
    talk = http("ann:secret@")
    assert repr(talk) == "<HttpConnect http://proxy.test:3128>"
    talk.feed(OK)
    assert repr(talk) == "<HttpConnect http://proxy.test:3128 done>"
    assert isinstance(socks(), Socks5)
    assert isinstance(http(), HttpConnect)


ALPHABET = st.sampled_from(
    [OK, GRANTED, b"HTTP/1.1 ", b"100 x", b"407", b"\r\n", b"\n", b"X: y", b"\x05", b"\x00", b"\x02", b"\xff"]
) | st.binary(max_size=20)


def outcome(talk: Conversation, pieces: list[bytes]) -> tuple[str, bytes]:
    """Return how a conversation ends, and all that it said."""
    sent = talk.begin()
    try:
        for number, piece in enumerate(pieces):
            sent += talk.feed(piece)
            if talk.done:
                return f"done {talk.rest + b''.join(pieces[number + 1 :])!r}", sent
    except ConnectError as error:
        return str(error), b""  # what was said before depends on the pieces
    return "waiting", sent


@pytest.mark.row("A18")
@given(st.lists(ALPHABET, max_size=12), st.booleans(), st.sampled_from(["", "ann:secret@"]), st.data())
def test_any_bytes_in_any_pieces(parts: list[bytes], is_http: bool, login: str, data: st.DataObject) -> None:
    """It ends in one of three ways, the same for all pieces, and shows no login."""
    make, whole = http if is_http else socks, b"".join(parts)
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=6).map(sorted))
    pieces = [whole[a:b] for a, b in pairwise([0, *places, len(whole)])]
    end, sent = outcome(make(login), pieces)
    assert (end, sent) == outcome(make(login), [whole])
    assert "secret" not in end.partition("done")[0]
