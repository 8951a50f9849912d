"""A control API that answers what a test wrote down, and remembers what it was asked."""

import json
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: object


@dataclass
class FakeApi:
    """Answers in turn: status and value; None is an empty answer, bytes go as they are."""

    answers: list[tuple[int, object]] = field(default_factory=list[tuple[int, object]])
    asked: list[Asked] = field(default_factory=list[Asked])
    url: str = ""

    def answer(self, status: int, value: object) -> None:
        """Add an answer."""
        self.answers.append((status, value))


@contextmanager
def fake_api(context: ssl.SSLContext | None = None) -> Generator[FakeApi]:
    """Serve on a free port of localhost until the block is left."""
    api = FakeApi()

    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            data = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {key.lower(): value for key, value in self.headers.items()}
            api.asked.append(Asked(self.command, self.path, headers, json.loads(data) if data else None))
            status, value = api.answers.pop(0)
            answer = (
                value if isinstance(value, bytes) else b"" if value is None else json.dumps(value).encode()
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https" if context is not None else "http"
        api.url = f"{scheme}://api.portway.localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join(20)
