"""What is measured: pairs of processes that carry a visitor's bytes to an upstream."""

import contextlib
import http.client
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench import processes
from bench.order import Order
from bench.policy import COUNTS as RULES
from bench.processes import StartError, first_line, module, start, wait

OURS: Final = "portway"
OFFICIAL: Final = "portway, official Python SDK as agent"
MINIMAL: Final = "minimal relay"
PROTOTYPE: Final = "prototype"

HELD: Final = 1000
"""Idle connections held while memory is measured."""

HELD_OFFICIAL: Final = 400
"""The same through an official agent, which bears 480 streams."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A running pair: where visitors come in, and the processes whose cost counts."""

    name: str
    entries: dict[str, Order]
    """For "tcp", "http", "https", "ws" (WebSocket over http), "grpc" (https before an upstream of HTTP/2),
    "log" (http with an access log), "events" (http with metrics, and a subscription to a file) and "rules…"
    (http under a policy of so many): where visitors connect.
    What is missing cannot be measured."""
    service: int
    """Process id."""
    agent: int | None
    """Process id; None for what carries in one hop."""
    held: int = HELD
    """Idle connections to measure with."""

    def cpu(self) -> tuple[float, float]:
        """Return the CPU seconds used so far by service and agent, with all their processes."""
        return processes.cpu(self.service), processes.cpu(self.agent) if self.agent else 0.0

    def memory(self) -> tuple[int, int]:
        """Return the resident bytes of service and agent, with all their processes."""
        return processes.memory(self.service), processes.memory(self.agent) if self.agent else 0


Starter = Callable[[contextlib.ExitStack, int], Contender | None]
"""Starts a contender for the time of the stack, before an upstream's port; None when it is not here."""


@dataclass(frozen=True, slots=True)
class Service:
    """A running `portway serve` and what it tells of itself."""

    pid: int
    connect_url: str
    ca: str
    token: str
    key: str = ""
    http_url: str = ""

    def agent(self) -> dict[str, str]:
        """Return the variables of an agent of ours."""
        return {
            "PORTWAY_CONNECT_URL": self.connect_url,
            "PORTWAY_CONNECT_CAS": self.ca,
            "PORTWAY_AUTHTOKEN": self.token,
        }

    def sdk(self) -> dict[str, str]:
        """Return the variables of bench.sdk_agent."""
        address = f"localhost:{self.connect_url.rpartition(':')[2]}"
        return {"SERVICE": address, "CA": self.ca, "AUTHTOKEN": self.token}


def serve(
    stack: contextlib.ExitStack,
    *,
    access_log: str = "off",
    ports: str = "21000-21999",
    agents: int = 0,
    more: tuple[str, ...] = (),
) -> Service:
    """Start a service in a new folder, and wait until it is ready; ``agents`` is a port, 0 any."""
    data = folder(stack)
    listen = ["--listen-agent", f"127.0.0.1:{agents}"]
    listen += [part for name in ("http", "https") for part in (f"--listen-{name}", "127.0.0.1:0")]
    flags = [
        "--data-dir",
        str(data),
        "--access-log",
        access_log,
        "--tcp-ports",
        ports,
        "--drain-timeout",
        "0",
    ]
    log = data / "log"
    process = start(stack, module("portway.cli.main", "serve", *flags, *listen, *more), log=log)
    bootstrap = data / "bootstrap.json"
    with contextlib.suppress(StartError):
        wait(lambda: bootstrap.exists() or process.poll() is not None, "portway serve")
    if not bootstrap.exists():
        raise StartError(f"portway serve: {log.read_text()[-2000:]}")
    known = json.loads(bootstrap.read_text())
    return Service(
        process.pid,
        known["connect_url"],
        known["ca_cert"],
        known["authtoken"],
        known["api_key"],
        known["http_url"],
    )


def folder(stack: contextlib.ExitStack) -> Path:
    """Make a folder that goes with the stack."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portway-bench-")))


def portway(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start `portway serve` without its access log, and an agent of ours."""
    service = serve(stack)
    agent = start(stack, module("bench.agent", "forward", str(upstream)), service.agent())
    return Contender(OURS, _entries(first_line(agent), service), service.pid, agent.pid)


def portway_logging(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start the same with the access log on, written to a file."""
    service = serve(stack, access_log="on", ports="22000-22999")
    agent = start(stack, module("bench.agent", "forward", str(upstream)), service.agent())
    entry = _entries(first_line(agent), service)["http"]
    return Contender(OURS, {"log": entry}, service.pid, agent.pid)


def portway_watched(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start the same with metrics, and with a subscription that writes every request to a file."""
    service = serve(stack, ports="26000-26999", more=("--listen-metrics", "127.0.0.1:0"))
    to = _post(service, "/event_destinations", {"target": {"file": {"path": "requests.jsonl"}}})
    fields = ["conn.client_ip", "http.request.url.path", "http.response.status_code"]
    source = {"type": "http_request_complete.v0", "fields": fields}
    _post(service, "/event_subscriptions", {"sources": [source], "destination_ids": [to["id"]]})
    agent = start(stack, module("bench.agent", "forward", str(upstream)), service.agent())
    entry = _entries(first_line(agent), service)["http"]
    return Contender(OURS, {"events": entry}, service.pid, agent.pid)


def _post(service: Service, path: str, body: object) -> dict[str, str]:
    """Post to the API of a service; return the answer."""
    parts = urlsplit(service.http_url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    fields = {
        "Host": f"api.{parts.hostname}",
        "Authorization": f"Bearer {service.key}",
        "Ngrok-Version": "2",
        "Content-Type": "application/json",
    }
    connection.request("POST", path, json.dumps(body), fields)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 201:
        raise StartError(f"{path}: {answer.status} {content.decode()[:300]}")
    made: dict[str, str] = json.loads(content)
    return made


def portway_official(stack: contextlib.ExitStack, upstream: int) -> Contender | None:
    """Start a service and the official Python SDK, where it is installed."""
    if importlib.util.find_spec("ngrok") is None:
        return None
    service = serve(stack, ports="23000-23999")
    agent = start(stack, module("bench.sdk_agent", "forward", str(upstream)), service.sdk())
    entries = _entries(first_line(agent), service)
    return Contender(OFFICIAL, entries, service.pid, agent.pid, held=HELD_OFFICIAL)


KINDS: Final = ("tcp", "http", "https", "grpc", *(f"rules{rules}" for rules in RULES))
"""What the endpoints of bench.agent are for, in its order; bench.sdk_agent has the first four."""


def _entries(urls: str, service: Service) -> dict[str, Order]:
    entries: dict[str, Order] = {}
    for kind, url in zip(KINDS, map(urlsplit, urls.split()), strict=False):
        assert url.port
        entries[kind] = Order(url.port, url.netloc, service.ca if url.scheme == "https" else "")
    entries["ws"] = entries["http"]
    return entries


def minimal(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start the minimal relay of this folder; it knows no HTTP and carries it as bytes."""
    chain, key, ca = map(str, processes.certificates(folder(stack)))
    service = start(stack, module("bench.relay", "server", chain, key))
    gate, public = first_line(service).split()
    agent = start(stack, module("bench.relay", "agent", gate, ca, str(upstream)))
    return raw(MINIMAL, int(public), service.pid, agent.pid)


def raw(name: str, port: int, service: int, agent: int) -> Contender:
    """Return a pair that carries everything as bytes, once it does."""
    wait(lambda: processes.carries(port), name)
    return Contender(name, dict.fromkeys(("tcp", "http", "ws"), Order(port)), service, agent)


def prototype(stack: contextlib.ExitStack, upstream: int) -> Contender | None:
    """Start the relay that PROTOTYPE names: `relay.py server|agent TUNNEL TCP HTTP UPSTREAM`."""
    if not os.environ.get("PROTOTYPE"):
        return None
    place = folder(stack)
    chain, key, ca = processes.certificates(place)
    (place / "cert.pem").write_bytes(chain.read_bytes() + ca.read_bytes())
    (place / "key.pem").write_bytes(key.read_bytes())
    program = str(Path(os.environ["PROTOTYPE"]).resolve())
    gate, tcp, http = processes.free_ports(3)
    steering = {"LOOP": "uvloop", "TLS": "bio", "FRAME": "262144", "WIN": "1048576", "BUF": "524288"}
    environ = steering | {"CAP": "262144", "SSL_CERT_FILE": str(ca)}

    def run(role: str) -> int:
        command = [*module("x")[:1], program, role, *map(str, (gate, tcp, http, upstream))]
        return start(stack, command, environ, cwd=place).pid

    service = run("server")
    wait(lambda: processes.listens(service, gate), PROTOTYPE)  # it ends when a probe connects and leaves
    agent = run("agent")
    wait(lambda: processes.carries(tcp), PROTOTYPE)
    entries = {"tcp": Order(tcp), "http": Order(http, "t.local")}
    return Contender(PROTOTYPE, entries, service, agent)
