"""Tests of requests to targets that somebody else names."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.kit.certs import make_certs
from tests.kit.upstreams import Upstream, upstream

from portway.model.guard import Guard
from portway.net.web_client import WebClient, WebFailure, WebRequest, check_url, redirected

ALLOWED = Guard(("127.0.0.1/32",))

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(*answers: bytes, seen: list[bytes] | None = None) -> Serve:
    """Answer the first connection with the first, the next with the second, the last one again."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(answers[min(count, len(answers) - 1)])
        count += 1
        await writer.drain()

    return serve


def ok(body: bytes = b"hello", *lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", b""]) + body


def moved(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


@asynccontextmanager
async def client(
    guard: Guard = ALLOWED,
    *,
    tls: ssl.SSLContext | None = None,
    names: dict[str, list[list[str]]] | None = None,
) -> AsyncGenerator[WebClient]:
    """Make a client whose resolver gives these addresses, the next list at each question."""

    async def resolve(host: str, port: int) -> list[str]:
        known = (names or {}).get(host)
        if known is None:
            return [host]
        return known.pop(0) if len(known) > 1 else known[0]

    made = WebClient(guard, tls=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), resolve=resolve)
    try:
        yield made
    finally:
        await made.close()


async def failure(made: WebClient, request: WebRequest) -> WebFailure:
    with pytest.raises(WebFailure) as failed:
        await made.request(request)
    return failed.value


async def get(
    made: WebClient, server: Upstream, *, body_limit: int = 1 << 20, redirects: int = 0
) -> WebFailure:
    """Fail to get the page of a server."""
    url = f"http://127.0.0.1:{server.port}/"
    return await failure(made, WebRequest("GET", url, body_limit=body_limit, redirects=redirects))


async def test_an_answer_is_whole_and_says_who_gave_it() -> None:
    seen: list[bytes] = []
    async with upstream(says(ok(b"hello", b"X-One: 1", b"X-One: 2"), seen=seen)) as server, client() as made:
        answer = await made.request(
            WebRequest("POST", f"http://127.0.0.1:{server.port}/a?b", [("X-Mine", "é")], b"body")
        )
        assert (answer.status, answer.body, answer.address) == (200, b"hello", "127.0.0.1")
        assert [value for name, value in answer.headers if name == "X-One"] == ["1", "2"]
        assert answer.seconds > 0
    assert seen[0].startswith(b"POST /a?b HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 4\r\n" in seen[0]
    assert "X-Mine: é".encode() in seen[0]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "0.0.0.0", "[64:ff9b::7f00:1]"]
)
async def test_what_the_guard_refuses_gets_no_connection(host: str) -> None:
    async with upstream(says(ok())) as server, client(Guard()) as made:
        found = await failure(made, WebRequest("GET", f"http://{host}:{server.port}/"))
        assert found.kind == "refused"
        assert found.message.count(host.strip("[]")) == 1, "an address is not said to be itself"
        assert server.accepted == 0


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_other_spellings_of_this_machine_are_refused(host: str) -> None:
    made = WebClient(Guard(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # asks the system
    found = await failure(made, WebRequest("GET", f"http://{host}:9/"))
    assert found.kind in ("refused", "resolve")
    await made.close()


@pytest.mark.row("P-48")
async def test_a_name_that_changes_its_mind_is_refused_the_second_time() -> None:
    names = {"rebinds.example": [["127.0.0.1"], ["127.0.0.2"]]}
    async with upstream(says(ok())) as server, client(names=names) as made:
        request = WebRequest("GET", f"http://rebinds.example:{server.port}/")
        assert (await made.request(request)).body == b"hello"
        assert (await failure(made, request)).kind == "refused"
        assert server.accepted == 1


async def test_of_several_addresses_only_those_that_are_permitted_are_tried() -> None:
    names = {"two.example": [["127.0.0.2", "::1", "127.0.0.1"]]}
    async with upstream(says(ok())) as server, client(names=names) as made:
        answer = await made.request(WebRequest("GET", f"http://two.example:{server.port}/"))
        assert answer.address == "127.0.0.1"


async def test_a_listener_of_ours_is_known_by_where_it_is() -> None:
    async with upstream(says(ok())) as server:
        async with client(Guard(own=[("127.0.0.1", server.port)])) as made:
            assert (await get(made, server)).kind == "refused"

        class Lax:
            """Judges no address, but knows the port."""

            def refusal(self, address: str, port: int) -> str:
                return ""

            def owns(self, port: int) -> bool:
                return port == server.port

            def allows(self, address: str) -> bool:
                return False

        made = WebClient(Lax(), tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        assert (await get(made, server)).kind == "refused"
        await made.close()


async def test_redirects_are_followed_through_the_same_door() -> None:
    async with upstream(says(ok(b"there"))) as second:
        to = f"http://other.example:{second.port}/x"
        names = {"other.example": [["127.0.0.1"], ["127.0.0.2"]]}
        async with upstream(says(moved(to))) as first, client(names=names) as made:
            request = WebRequest("GET", f"http://127.0.0.1:{first.port}/", redirects=1)
            answer = await made.request(request)
            assert (answer.body, answer.url, answer.redirects) == (b"there", to, 1)
            assert (await failure(made, request)).kind == "refused"
            plain = await made.request(WebRequest("GET", f"http://127.0.0.1:{first.port}/"))
            assert plain.status == 302


async def test_redirects_have_an_end() -> None:
    async with upstream(says(moved("/again"))) as server, client() as made:
        assert (await get(made, server, redirects=3)).kind == "redirects"
        assert server.accepted == 4


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://a.example/", "http://u:p@a.example/"])
async def test_redirects_lead_to_the_web_only(to: str) -> None:
    async with upstream(says(moved(to))) as server, client() as made:
        assert (await get(made, server, redirects=3)).kind == "url"


def test_credentials_stay_with_their_origin() -> None:
    secret = [
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("X-Other", "1"),
        ("Content-Type", "text/plain"),
    ]
    request = WebRequest("POST", "https://a.example/x", secret, b"body", redirects=1)
    same = redirected(request, 307, "/y")
    assert (same.url, same.method, same.body) == ("https://a.example/y", "POST", b"body")
    assert list(same.headers) == secret
    other = redirected(request, 307, "https://b.example/y")
    assert [name for name, _ in other.headers] == ["X-Other", "Content-Type"]
    assert [name for name, _ in redirected(request, 307, "https://a.example:444/").headers] == [
        "X-Other",
        "Content-Type",
    ]
    seen = redirected(request, 303, "/y")
    assert (seen.method, seen.body, [n for n, _ in seen.headers]) == (
        "GET",
        b"",
        ["Authorization", "Cookie", "X-Other"],
    )
    with pytest.raises(WebFailure):
        redirected(request, 307, "http://a.example/y")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "/x", "http:///x", "http://a.example:0/", "http://a.example:99999/",
        "http://a.example/\r\nX: y", "http://é.example/", "http://u@a.example/", "http://[::1/",
        "http://a b/", "",
    ],
)  # fmt: skip
def test_what_is_no_url_is_not_asked(url: str) -> None:
    with pytest.raises(WebFailure) as failed:
        check_url(url)
    assert failed.value.kind == "url"


async def test_a_body_is_bounded_whatever_it_says() -> None:
    async with upstream(says(ok(b"x" * 1001))) as server, client() as made:
        assert (await get(made, server, body_limit=1000)).kind == "length"
    async with (
        upstream(says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 2000)) as server,
        client() as made,
    ):
        assert (await get(made, server, body_limit=1000)).kind == "length"


async def test_an_answer_without_end_is_cut_at_its_limit() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    async with upstream(endless) as server, client() as made:
        assert (await get(made, server, body_limit=100_000)).kind == "length"


async def test_a_bomb_is_not_unfolded() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 25_000
    async with upstream(says(ok(bomb, b"Content-Encoding: gzip"))) as server, client() as made:
        assert (await get(made, server, body_limit=100_000)).kind == "length"


@pytest.mark.parametrize("packed", [gzip.compress(b"words"), zlib.compress(b"words")])
async def test_what_is_coded_is_decoded(packed: bytes) -> None:
    coding = b"gzip" if packed[:2] == b"\x1f\x8b" else b"deflate"
    async with upstream(says(ok(packed, b"Content-Encoding: " + coding))) as server, client() as made:
        answer = await made.request(WebRequest("GET", f"http://127.0.0.1:{server.port}/"))
        assert answer.body == b"words"


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"words", b"Content-Encoding: gzip"),
        ok(gzip.compress(b"words")[:-9], b"Content-Encoding: gzip"),
        ok(b"words", b"Content-Encoding: br"),
        ok(gzip.compress(gzip.compress(b"words")), b"Content-Encoding: gzip", b"Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
async def test_an_answer_that_lies_is_a_failure(answer: bytes) -> None:
    async with upstream(says(answer)) as server, client() as made:
        assert (await get(made, server)).kind == "protocol"


async def test_one_deadline_holds_for_everything() -> None:
    done = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await done.wait()

    async with upstream(stall) as server, client() as made:
        found = await failure(made, WebRequest("GET", f"http://127.0.0.1:{server.port}/", timeout=0.3))
        assert found.kind == "timeout"
        done.set()


async def test_nobody_there_is_said() -> None:
    async with client(names={"gone.example": [["127.0.0.1"]]}) as made:
        assert (await failure(made, WebRequest("GET", "http://gone.example:1/"))).kind == "connect"

    async def none(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    made = WebClient(ALLOWED, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), resolve=none)
    assert (await failure(made, WebRequest("GET", "http://gone.example/"))).kind == "resolve"
    await made.close()
    assert (await failure(made, WebRequest("GET", "http://gone.example/"))).kind == "busy"


async def test_tls_is_verified_by_the_name_that_was_asked() -> None:
    certs = make_certs("good.example")
    names = {"good.example": [["127.0.0.1"]], "bad.example": [["127.0.0.1"]]}
    async with (
        upstream(says(ok()), tls=certs.server) as server,
        client(tls=certs.client, names=names) as made,
    ):
        answer = await made.request(WebRequest("GET", f"https://good.example:{server.port}/"))
        assert answer.body == b"hello"
        found = await failure(made, WebRequest("GET", f"https://bad.example:{server.port}/"))
        assert found.kind == "tls"


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        upstream(says(ok(b"proxy"))) as proxy,
        upstream(says(ok(b"target"))) as server,
        client() as made,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await made.request(WebRequest("GET", f"http://127.0.0.1:{server.port}/"))
        assert answer.body == b"target"
        assert proxy.accepted == 0


async def test_a_request_that_is_given_up_leaves_nothing() -> None:
    came = asyncio.Event()
    gone = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        assert await reader.read() == b""
        gone.set()

    async with upstream(wait) as server, client() as made:
        task = asyncio.ensure_future(made.request(WebRequest("GET", f"http://127.0.0.1:{server.port}/")))
        await asyncio.wait_for(came.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 10)


def test_secrets_are_not_shown() -> None:
    shown = repr(
        WebRequest("GET", "https://a.example/x?token=secret", [("Authorization", "secret")], b"secret")
    )
    assert "secret" not in shown
