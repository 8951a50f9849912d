"""The API behind its real server, over TCP."""

import http.client
import json
import socket
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.kit.api import Api, serving_api
from tests.kit.eventually import eventually

PLACE = "/credentials"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Api]]:
    """An API on a port of its own."""
    with serving_api(tmp_path_factory.mktemp("api"), wrong_key_delay=0.0) as running:
        yield running


@pytest.fixture
def connection(served: tuple[str, Api]) -> Generator[http.client.HTTPConnection]:
    """One connection to it. Its other end is in this process too, so both must be gone in the end."""
    before = open_sockets()
    made = http.client.HTTPConnection(urlsplit(served[0]).netloc, timeout=20)
    yield made
    made.close()
    eventually(lambda: open_sockets() <= before, "the server closes its end")


def open_sockets() -> int:
    """Count the sockets of this process."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def headers(served: tuple[str, Api]) -> dict[str, str]:
    return {"authorization": f"Bearer {served[1].key}", "ngrok-version": "2"}


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    given: dict[str, str],
    body: bytes | None = None,
) -> tuple[int, bytes]:
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    assert answer.headers["ngrok-operation-id"].startswith("op_")
    assert "server" not in answer.headers
    return answer.status, answer.read()


@pytest.mark.row("C3", "C8")
def test_many_requests_on_one_connection(
    served: tuple[str, Api], connection: http.client.HTTPConnection
) -> None:
    given = headers(served)
    status, made = ask(connection, "POST", PLACE, given)
    socket_used = connection.sock
    place = f"{PLACE}/{json.loads(made)['id']}"
    assert status == 201
    assert ask(connection, "GET", place, given)[0] == 200
    assert ask(connection, "HEAD", place, given) == (200, b"")
    assert ask(connection, "DELETE", place, given) == (204, b"")
    assert ask(connection, "GET", place, given)[0] == 404
    assert ask(connection, "GET", f"/{PLACE}", given)[0] == 200
    assert ask(connection, "GET", "/openapi.json", {})[0] == 200
    assert connection.sock is socket_used, "every answer was whole"


@pytest.mark.row("C8")
def test_a_body_that_is_too_long_is_answered_and_read_away(
    served: tuple[str, Api], connection: http.client.HTTPConnection
) -> None:
    long = headers(served) | {"content-type": "application/json"}
    status, body = ask(connection, "POST", PLACE, long, b" " * (3 << 20))
    assert status == 413
    assert json.loads(body)["error_code"] == "ERR_NGROK_212"
    assert ask(connection, "GET", PLACE, headers(served))[0] == 200


def test_a_chunked_body_is_a_body(served: tuple[str, Api], connection: http.client.HTTPConnection) -> None:
    given = headers(served) | {"content-type": "application/json"}
    connection.request("POST", PLACE, iter([b'{"descri', b'ption": "c"}']), given, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 201
    assert json.loads(answer.read())["description"] == "c"


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /credentials HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["no HTTP", "bytes in the path", "a body that ends early", "a long header"],
)
def test_garbage_harms_nobody(
    served: tuple[str, Api], connection: http.client.HTTPConnection, text: bytes
) -> None:
    host, port = str(urlsplit(served[0]).hostname), int(urlsplit(served[0]).port or 0)
    with socket.create_connection((host, port), timeout=20) as bad:
        bad.sendall(text)
        bad.shutdown(socket.SHUT_WR)
        while received := bad.recv(65_536):
            assert b"Traceback" not in received
    assert ask(connection, "GET", PLACE, headers(served))[0] == 200


def test_the_end_waits_for_nobody_idle(tmp_path: Path) -> None:
    with serving_api(tmp_path) as served:
        idle = http.client.HTTPConnection(urlsplit(served[0]).netloc, timeout=20)
        assert ask(idle, "GET", PLACE, headers(served))[0] == 200
    idle.close()
