"""Files as an upstream: what visitors get, what they never get, and how they ask for parts of it."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.visits import Visit

from portway import ConnectionClosed, Event, HTTPRequestComplete, Upstream
from portway.agent import files
from portway.agent.files import (
    INDEX,
    PIECE,
    Folder,
    NotServed,
    conditions,
    folder_of,
    parts_of,
    range_of,
    type_of,
)
from portway.agent.upstream import resolve
from portway.errors import ConfigError

WHEN = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Wed, 15 Nov 2023 22:13:20 GMT"
TAG = '"x"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    (root / "below" / "deep").mkdir(parents=True)
    (root / "page.html").write_text("<p>hello")
    (root / "data.bin").write_bytes(bytes(range(256)) * 1024)
    (root / "below" / INDEX).write_text("the index")
    (root / "ä <&> ?.txt").write_text("odd")
    (root / ".env").write_text("secret")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    (root / ".well-known").mkdir()
    (root / ".well-known" / "token").write_text("challenge")
    (tmp_path / "outside.txt").write_text("secret")
    (root / "out").symlink_to(tmp_path / "outside.txt")
    (root / "out-folder").symlink_to(tmp_path)
    (root / "in").symlink_to("page.html")
    (root / "to-env").symlink_to(".env")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    return root


@asynccontextmanager
async def visit(service: FakeService, folder: Path) -> AsyncGenerator[Visit]:
    async with agent_of(service) as agent:
        forwarder = await agent.forward(folder.as_uri())
        assert str(forwarder.upstream_url) == folder.as_uri()
        async with Visit(service, forwarder) as one:
            yield one


@pytest.mark.row("K-03")
async def test_a_file(service: FakeService, folder: Path) -> None:
    async with visit(service, folder) as one:
        answer = await one.ask("GET /page.html?x=1 HTTP/1.1")
        assert (answer.status, answer.body) == (200, b"<p>hello")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["accept-ranges"] == "bytes"
        head = await one.ask("HEAD /page.html HTTP/1.1", method="HEAD")
        assert (head.status, head.headers["content-length"]) == (200, "8")
        large = await one.ask("GET /data.bin HTTP/1.1")
        assert large.body == (folder / "data.bin").read_bytes()
        assert len(large.body) > 3 * PIECE
        again = await one.ask(f"GET /page.html HTTP/1.1\nIf-None-Match: {answer.headers['etag']}")
        assert (again.status, again.body) == (304, b"")
        part = await one.ask("GET /data.bin HTTP/1.1\nRange: bytes=254-257")
        assert (part.status, part.body) == (206, b"\xfe\xff\x00\x01")
        assert part.headers["content-range"] == "bytes 254-257/262144"
        beyond = await one.ask("GET /data.bin HTTP/1.1\nRange: bytes=262144-")
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */262144")
        post = await one.ask("POST /page.html HTTP/1.1\nContent-Length: 1", b"x")
        assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")
        assert (await one.ask("GET /in HTTP/1.1")).body == b"<p>hello", "a link that stays inside"


@pytest.mark.row("K-03")
async def test_a_folder(service: FakeService, folder: Path) -> None:
    async with visit(service, folder) as one:
        listing = (await one.ask("GET / HTTP/1.1")).body.decode()
        assert 'href="./below/">below/</a>' in listing
        assert 'href="./%C3%A4%20%3C%26%3E%20%3F.txt">ä &lt;&amp;&gt; ?.txt</a>' in listing
        assert listing.index("below/") < listing.index("data.bin")
        assert 'href="./in"' in listing, "a link that stays inside"
        for hidden in (".env", ".git", "pipe", "loop", "out", "out-folder/", "to-env"):
            assert f">{hidden}<" not in listing
        assert (await one.ask("GET /below/ HTTP/1.1")).body == b"the index"
        moved = await one.ask("GET //below?q HTTP/1.1")
        assert (moved.status, moved.headers["location"]) == (301, "/below/?q")
        assert b'href="../"' in (await one.ask("GET /below/deep/ HTTP/1.1")).body
        odd = await one.ask("GET /%C3%A4%20%3C%26%3E%20%3F.txt HTTP/1.1")
        assert odd.body == b"odd"
        assert (await one.ask("GET /.well-known/token HTTP/1.1")).body == b"challenge"


@pytest.mark.row("K-03")
@pytest.mark.parametrize(
    "path",
    [
        "/none", "/page.html/", "/page.html/x", "/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt",
        "/below/../../outside.txt", "/below/..", "/out", "/out-folder/outside.txt", "/out-folder/", "/.env",
        "/to-env", "/.git/config", "/.git/", "/loop", "/pipe", "/below%00", "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/....//outside.txt", "/" + "a" * 5000,
    ],
)  # fmt: skip
async def test_what_is_nobodys_business(path: str, service: FakeService, folder: Path) -> None:
    async with visit(service, folder) as one:
        answer = await one.ask(f"GET {path} HTTP/1.1")
        assert answer.status == (400 if "%00" in path else 404)
        assert b"secret" not in answer.body


def test_a_link_that_is_put_in_meanwhile_is_not_followed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and opening, a folder of the path becomes a link that leads out."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / INDEX).write_text("secret")
    site, walk = Folder(folder), Folder._walk  # pyright: ignore[reportPrivateUsage]

    def late(self: Folder, parts: tuple[str, ...]) -> int:
        (folder / "below").rename(folder / "was")
        (folder / "below").symlink_to(tmp_path / "elsewhere")
        return walk(self, parts)

    monkeypatch.setattr(Folder, "_walk", late)
    with pytest.raises(NotServed):
        site.open(b"/below/index.html")


async def test_a_slow_visitor_holds_the_reading(
    service: FakeService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 64 << 20
    read: list[int] = []

    def counted(descriptor: int, wanted: int, at: int) -> bytes:
        read.append(wanted)
        return os.pread(descriptor, wanted, at)

    monkeypatch.setattr(files, "_read_at", counted)
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(size)
    async with visit(service, folder) as one:
        one.writer.write(b"GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        await one.reader.readuntil(b"\r\n\r\n")
        for _ in range(500):
            await asyncio.to_thread(int)  # what would be read without asking could be by now
        assert sum(read) < 4 << 20
        got = 0
        while got < size:
            got += len(await one.reader.read(1 << 16))
        assert got == size


async def test_the_agent_tells_of_files_as_of_other_upstreams(service: FakeService, folder: Path) -> None:
    events: list[Event] = []
    closed = asyncio.Event()

    def hear(event: Event) -> None:
        events.append(event)
        if isinstance(event, ConnectionClosed):
            closed.set()

    async with agent_of(service, event_handlers=[hear]) as agent:
        forwarder = await agent.forward(f"file://{folder}")
        async with Visit(service, forwarder) as one:
            await one.ask("GET /page.html HTTP/1.1")
            await one.ask("GET /none HTTP/1.1")
        async with asyncio.timeout(20):
            await closed.wait()
    requests = [event for event in events if isinstance(event, HTTPRequestComplete)]
    assert [(each.method, each.path, each.status_code) for each in requests] == [
        ("GET", "/page.html", 200),
        ("GET", "/none", 404),
    ]
    (end,) = [event for event in events if isinstance(event, ConnectionClosed)]
    assert end.bytes_in > 60
    assert end.bytes_out > 200


def test_no_descriptor_is_left(folder: Path) -> None:
    site = Folder(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for target in (b"/page.html", b"/below/index.html", b"/pipe", b"/out", b"/none", b"/below/none"):
        try:
            os.close(site.open(target).descriptor)
        except NotServed:
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 0),
        ({b"if-none-match": TAG}, 304),
        ({b"if-none-match": 'W/"x", "y"'}, 304),
        ({b"if-none-match": "*"}, 304),
        ({b"if-none-match": '"y"', b"if-modified-since": DATE}, 0),
        ({b"if-modified-since": DATE}, 304),
        ({b"if-modified-since": LATER}, 304),
        ({b"if-modified-since": "nonsense"}, 0),
        ({b"if-match": TAG}, 0),
        ({b"if-match": "*"}, 0),
        ({b"if-match": '"y"'}, 412),
        ({b"if-unmodified-since": DATE}, 0),
        ({b"if-unmodified-since": "Mon, 13 Nov 2023 22:13:20 GMT"}, 412),
    ],
)
def test_conditions(asked: dict[bytes, str], status: int) -> None:
    assert conditions(asked, TAG, WHEN) == status


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-100", (2, 10)),
        ("bytes=10-", None),
        ("bytes=-0", None),
        ("bytes=5-2", (0, 10)),
        ("bytes=1-2,4-5", (0, 10)),
        ("items=1-2", (0, 10)),
        ("bytes=a-b", (0, 10)),
        ("bytes=-", (0, 10)),
        ("bytes=" + "9" * 30 + "-", (0, 10)),
        ("", (0, 10)),
    ],
)
def test_ranges(text: str, span: tuple[int, int] | None) -> None:
    assert range_of({b"range": text}, 10, TAG, WHEN) == span


def test_a_range_of_another_version_is_the_whole() -> None:
    asked = {b"range": "bytes=1-2"}
    assert range_of({**asked, b"if-range": TAG}, 10, TAG, WHEN) == (1, 3)
    assert range_of({**asked, b"if-range": '"y"'}, 10, TAG, WHEN) == (0, 10)
    assert range_of({**asked, b"if-range": DATE}, 10, TAG, WHEN) == (1, 3)
    assert range_of({**asked, b"if-range": LATER}, 10, TAG, WHEN) == (0, 10)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_types(name: str, kind: str) -> None:
    assert type_of(name) == kind


def test_parts() -> None:
    assert parts_of(b"/a//./b%20c?x") == ("a", "b c")
    assert parts_of(b"/") == ()
    for wrong in (b"/..", b"/a/%2e%2e", b"/.git"):
        with pytest.raises(NotServed):
            parts_of(wrong)


@pytest.mark.row("K-03")
@pytest.mark.parametrize(
    ("text", "scheme", "what"),
    [
        ("file://relative", "https", "absolute path"),
        ("file://", "https", "absolute path"),
        ("file:///no/such/folder", "https", "there is no such folder"),
        ("file:///", "tcp", "on http and https endpoints only"),
    ],
)
def test_what_is_no_folder(text: str, scheme: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        resolve(Upstream(text), scheme)
    with pytest.raises(ConfigError):
        resolve(Upstream("file:///", proxy_protocol=1), "https")


def test_folders(tmp_path: Path) -> None:
    assert folder_of(f"file://{tmp_path}/") == tmp_path.resolve()
    assert resolve(Upstream(f"FILE://{tmp_path}"), "http").folder == tmp_path.resolve()
