"""Heads that we accept are understood alike by the servers behind us: nginx, gunicorn, uvicorn.

Generated mutations of requests, several on one connection, are sent through the running service. What
the server behind saw (method, target, Host, every byte of the body, and how many requests there were)
must be what we meant to forward, and as many as our log says were answered by it.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import running_agent
from tests.kit.programs import need
from tests.kit.sockets import connected
from tests.kit.stage import Stage, stage

pytestmark = pytest.mark.xdist_group("hostile")

DRIVERS = Path(__file__).parent / "drivers"
EXAMPLES = 120
"""Connections for each server, each with one to three requests of which a quarter is mutated."""

Seen = list[Any]


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """One service before all servers."""
    with stage(tmp_path_factory.mktemp("hostile")) as made:
        yield made


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _running(folder: Path, port: int, *command: str) -> Generator[None]:
    """Run a server until the end of the context; it notes what it sees in folder/seen."""
    (folder / "seen").touch()
    with (folder / f"{Path(command[0]).name}-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | {"SEEN": str(folder / "seen")}
        )
    try:
        eventually(
            lambda: socket.create_connection(("127.0.0.1", port)).close() or True, f"{command[0]} listens"
        )
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _gunicorn(folder: Path) -> Generator[int]:
    port = _free()
    where = ("--chdir", str(DRIVERS), "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "4")
    with _running(
        folder, port, sys.executable, "-m", "gunicorn", *where, "--no-control-socket", "echo_app:wsgi"
    ):
        yield port


@contextmanager
def _uvicorn(folder: Path) -> Generator[int]:
    port = _free()
    where = ("--app-dir", str(DRIVERS), "--port", str(port), "--http", "httptools", "--log-level", "warning")
    with _running(folder, port, sys.executable, "-m", "uvicorn", *where, "echo_app:asgi"):
        yield port


@contextmanager
def _nginx(folder: Path) -> Generator[int]:
    """Nginx before uvicorn: what nginx understood is what it says there, in its own words."""
    program, port = need("nginx"), _free()
    with _uvicorn(folder) as behind:
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr;\n"
            "events {}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
            f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind};\n"
            "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ''; }}\n"
            "}\n".replace("}}", "}")
            + "}\n"
        )
        with _running(folder, port, str(program), "-c", str(folder / "nginx.conf"), "-p", str(folder)):
            yield port


# -- requests ------------------------------------------------------------------------------------

_METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"HEAD"]
_TARGETS = [
    b"/",
    b"/a?b=c",
    b"//x/y",
    b"/a/../b",
    b"/%2e%2e/",
    b"/a;b=c?d",
    b"/a%00b",
    b"/?a#b",
    b"*",
    b"/\xc3\xa9",
    b"http://HOST/abs?q=1",
    b"/a//b/./c",
    b"/%",
    b"/a?b?c",
    b"/\\..\\a",
    b"/a|b",
    b"/'\"<>",
]
_LINES = [
    b"Content-Length: 3",
    b"Content-Length: 03",
    b"content-length:3",
    b"Content_Length: 7",
    b"Content-Length: 3 ",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: CHUNKED",
    b"Transfer_Encoding: chunked",
    b"Transfer-Encoding:chunked",
    b"Transfer-Encoding: chunked;q=1",
    b"Connection: close",
    b"Connection: x, close",
    b"Connection: content-length",
    b"Connection: transfer-encoding",
    b"Connection: keep-alive",
    b"Expect: 100-continue",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"TE: trailers",
    b"X: \x80\xff",
    b"X:\t y\t",
    b"X:",
    b"Trailer: x",
    b"Host: other",
    b"X-Forwarded-Host: x",
    b"X-HTTP-Method-Override: PUT",
    b"Content-Type: text/plain",
    b"Cookie: a=b",
    b"Keep-Alive: 5",
    b"Proxy-Connection: close",
    b"Content-Encoding: gzip",
]
_CHUNKED = [
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\n\r\n",
    b"03\r\nabc\r\n000\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    b'1\r\na\r\n2;"q"\r\nbc\r\n0\r\n\r\n',
    b"0\r\n\r\n",
    b'3;x="a;b"\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n',
]
_BYTES = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b"\x0b",
    b"\r\n ",
    b"GET / HTTP/1.1\r\n",
    b"0\r\n\r\n",
    b"\xff",
]


def _request(random: Random, host: bytes) -> bytes:
    """Make a request that may be odd, then perhaps break it."""
    lines = random.sample(_LINES, random.choice([0, 1, 1, 2, 3]))
    lower = b"\n".join(lines).lower()
    chunked = b"transfer-encoding:" in lower
    length = b"content-length:" in lower
    body = random.choice(_CHUNKED) if chunked else b"abc" if length else b""
    lines.insert(random.randrange(len(lines) + 1), b"Host: " + host)
    target = random.choice(_TARGETS).replace(b"HOST", host)
    version = random.choices([b"1.1", b"1.0"], [9, 1])[0]
    raw = (
        b"%b %b HTTP/%b\r\n%b\r\n\r\n" % (random.choice(_METHODS), target, version, b"\r\n".join(lines))
        + body
    )
    for _ in range(random.choice([0, 0, 0, 1])):
        at = random.randrange(len(raw))
        raw = raw[:at] + random.choice(_BYTES) + raw[at + random.randrange(2) :]
    return raw


def _plain(host: bytes, mark: bytes) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (mark, host)


def _send(port: int, raw: bytes) -> bytes:
    """Send all, say that it was all, and return what comes back."""
    back = bytearray()
    with connected(port) as visitor, suppress(ConnectionError):
        visitor.settimeout(20)
        visitor.sendall(raw)
        visitor.shutdown(socket.SHUT_WR)
        while piece := visitor.recv(65_536):
            back += piece
    return bytes(back)


@pytest.mark.parametrize("server", [_gunicorn, _uvicorn, _nginx], ids=["gunicorn", "uvicorn", "nginx"])
def test_what_we_forward_is_understood_alike(
    on: Stage, tmp_path: Path, server: Callable[[Path], Any], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    host = f"{name}.portway.localhost".encode()
    random = Random(name)
    port = on.known.http_port
    with ExitStack() as open_:
        behind = open_.enter_context(server(tmp_path))
        open_.enter_context(
            running_agent(on.service, "http", str(behind), "--url", f"http://{host.decode()}")
        )
        eventually(lambda: b"seen" in _send(port, _plain(host, b"warm")), "the server answers")
        start, skip = len(on.service.log), len(_seen(tmp_path))
        understood = refused = 0
        for count in range(EXAMPLES):
            requests = [_request(random, host) for _ in range(random.randrange(1, 4))]
            _send(port, b"".join(requests) + _plain(host, b"end-%d" % count))
            # A connection of its own closes each example, so that a difference names its cause.
            mark = f"/mark-{count}"
            assert _send(port, _plain(host, mark[1:].encode())).endswith(b"seen")
            logged = eventually(
                lambda mark=mark, at=start: _logged(on, at, host.decode(), mark), "it is logged"
            )
            seen = _seen(tmp_path)[skip:]
            _compare(logged, seen, requests)
            understood += len(seen) - 1
            refused += sum(each["status"] != 200 for each in logged)
            start, skip = len(on.service.log), skip + len(seen)
    print(f"{name}: {understood} requests understood alike, {refused} refused by it or by us")
    assert understood > EXAMPLES / 2


def _compare(logged: list[dict[str, Any]], seen: list[Seen], requests: list[bytes]) -> None:
    """What the server behind us answered with 200, as we logged it, is what it saw, in order."""
    chunked = b"chunked" in b"".join(requests).lower()
    ours = [each for each in logged if each["status"] == 200]
    assert [(each["method"], each["target"]) for each in ours] == [(*each[:2],) for each in seen], requests
    for mine, (_, _, _, size, _) in zip(ours, seen, strict=True):
        framed = mine.get("request_length", 0)  # of a chunked body, its framing counts
        assert size == framed or (chunked and size < framed), (requests, mine, seen)
    usual = {hashlib.sha256(body).hexdigest() for body in (b"", b"abc", b"0123456789")}
    odd = [each for each in seen if each[4] not in usual]
    # A mutation may lie in a body; then its bytes are in what was sent.
    assert all(size <= 16 for _, _, _, size, _ in odd), (requests, odd)


def _seen(folder: Path) -> list[Seen]:
    return [json.loads(line) for line in (folder / "seen").read_text().splitlines()]


def _logged(on: Stage, start: int, host: str, mark: str) -> list[dict[str, Any]]:
    """Return the lines about requests up to the mark; none while that has not been written."""
    records = [
        each for each in on.records(start) if each["event"] == "http request" and each.get("host") == host
    ]
    return records if records and records[-1]["target"] == mark else []
