"""Drives the official ngrok Python SDK, unmodified, in a process of its own.

Reads one JSON command a line on standard input, writes one JSON answer a line. tests/node/driver.mjs is
the same for the Node SDK; tests/kit/sdk.py holds the other end.
"""

import asyncio
import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ngrok: Any = importlib.import_module("ngrok")


class Hello(BaseHTTPRequestHandler):
    """What the SDK's own listener serves."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the path."""
        text = f"served by the SDK: {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class's name
        """Keep standard output for answers."""


class Driver:
    """One session of the SDK and its listeners."""

    def __init__(self) -> None:
        """Start without a session."""
        self.session: Any = None
        self.listeners: dict[str, Any] = {}
        self.latencies: list[float] = []
        self.losses: list[str] = []
        self.commands: list[str] = []

    async def connect(
        self, address: str, ca: str, token: str, interval: int, tolerance: int, commands: str | None = None
    ) -> dict[str, Any]:
        """Make the session; interval and tolerance of heartbeats in seconds.

        ``commands``: with a handler for each, which answers with this text, "" agreeing; None: without.
        """
        builder = ngrok.SessionBuilder().server_addr(address).authtoken(token)
        builder.ca_cert(bytearray(ca, "ascii"))
        builder.heartbeat_interval(interval).heartbeat_tolerance(tolerance)
        builder.handle_heartbeat(self.latencies.append)
        builder.handle_disconnection(self._lost)
        if commands is not None:
            self._handle_commands(builder, commands)
        self.session = await builder.connect()
        return {}

    async def forward(
        self,
        proto: str,
        to: str,
        domain: str,
        tls: dict[str, str] | None = None,
        proxy: str = "",
        app_protocol: str = "",
        options: list[list[Any]] | None = None,
    ) -> dict[str, Any]:
        """Make an endpoint that the SDK itself forwards to an upstream URL.

        ``tls`` may have certificate and key for TLS that ends at the edge, and the ca of visitors; ``proxy``
        is the version of the PROXY header; ``app_protocol`` is what the upstream speaks. ``options`` are
        further methods of the SDK's builder with their arguments.
        """
        endpoint, given = self._endpoint(proto, domain), tls or {}
        if "certificate" in given:
            endpoint.termination(bytearray(given["certificate"], "ascii"), bytearray(given["key"], "ascii"))
        if "ca" in given:
            endpoint.mutual_tlsca(bytearray(given["ca"], "ascii"))
        if proxy:
            endpoint.proxy_proto(proxy)
        if app_protocol:
            endpoint.app_protocol(app_protocol)
        for name, *arguments in options or ():
            getattr(endpoint, name)(*arguments)
        return self._keep(await endpoint.listen_and_forward(to))

    async def listen(self, proto: str, domain: str) -> dict[str, Any]:
        """Make an endpoint served by an HTTP server in this process."""
        listener = await self._endpoint(proto, domain).listen()
        server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        await ngrok.listen(server, listener)
        return self._keep(listener)

    async def serve(self, labels: dict[str, str], to: str, metadata: str) -> dict[str, Any]:
        """Make a labelled listener forwarded to an upstream URL; its key is its id."""
        builder = self.session.labeled_listener().metadata(metadata)
        for key, value in labels.items():
            builder.label(key, value)
        listener = await builder.listen_and_forward(to)
        self.listeners[listener.id()] = listener
        return {"id": listener.id(), "labels": listener.labels()}

    async def unbind(self, url: str) -> dict[str, Any]:
        """Close one endpoint."""
        await self.listeners.pop(url).close()
        return {}

    async def close(self) -> dict[str, Any]:
        """Close the session."""
        await self.session.close()
        return {}

    async def state(self) -> dict[str, Any]:
        """Tell the latencies of heartbeats, the losses of the session and its commands so far."""
        return {"latencies": self.latencies, "losses": self.losses, "commands": self.commands}

    def _handle_commands(self, builder: Any, answer: str) -> None:
        def stop(*_: object) -> None:
            self._commanded("stop", answer)

        def restart(*_: object) -> None:
            self._commanded("restart", answer)

        def update(version: object, major: object) -> None:
            self._commanded(f"update {version!r} {major}", answer)

        builder.handle_stop_command(stop)
        builder.handle_restart_command(restart)
        builder.handle_update_command(update)

    def _commanded(self, what: str, answer: str) -> None:
        self.commands.append(what)
        if answer:
            raise RuntimeError(answer)

    def _lost(self, _address: str, error: str) -> None:
        self.losses.append(error)

    def _endpoint(self, proto: str, domain: str) -> Any:
        kind = "http" if proto == "https" else proto
        builder = getattr(self.session, f"{kind}_endpoint")()
        if proto in ("http", "https"):
            builder.scheme(proto)
        if domain and proto == "tcp":
            return builder.remote_addr(domain)
        return builder.domain(domain) if domain else builder

    def _keep(self, listener: Any) -> dict[str, Any]:
        self.listeners[listener.url()] = listener
        return {"id": listener.id(), "url": listener.url(), "proto": listener.proto()}


async def main() -> None:
    """Serve commands until standard input ends."""
    driver = Driver()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        try:
            answer = await getattr(driver, command.pop("op"))(**command)
        except Exception as error:  # noqa: BLE001 -- whatever the SDK raises is the answer
            answer = {"error": " ".join(map(str, error.args))}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
