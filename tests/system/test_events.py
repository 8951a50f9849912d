"""Events, metrics and health of a whole service: what receivers get is what clients saw."""

import contextlib
import http.client
import json
import os
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.kit.eventually import eventually
from tests.kit.product import AgentProcess, Service, running_agent, running_service
from tests.kit.rest import Rest

from portway.model.event_types import HTTP, SESSION_START, SESSION_STOP, TCP

pytestmark = pytest.mark.xdist_group("events")

AUDIT = "api_key_created.v0"


class _Sink(ThreadingHTTPServer):
    """A receiver of events, on loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: list[dict[str, Any]] = []
        self.away = False

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the payloads of one type."""
        return [each["object"] for each in self.events if each["event_type"] == kind]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        sink = self.server
        assert isinstance(sink, _Sink)
        content = self.rfile.read(int(self.headers["content-length"]))
        if sink.away:
            self.send_response(503)
        else:
            sink.events += json.loads(content)
            self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


@contextlib.contextmanager
def _receiving() -> Generator[_Sink]:
    with _Sink() as sink:
        thread = threading.Thread(target=sink.serve_forever, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            sink.shutdown()
            thread.join()


class Scene:
    """A service with a subscription, and what its receiver got."""

    def __init__(self, service: Service, sink: _Sink) -> None:
        self.service = service
        self.sink = sink
        self.rest = Rest(service)
        url = f"http://127.0.0.1:{sink.server_address[1]}/"
        target = {"webhook": {"url": url, "batch_seconds": 0.05}}
        self.to: str = self.rest.done("POST", "/event_destinations", {"target": target})["id"]
        sources = [{"type": each} for each in (HTTP, TCP, AUDIT, SESSION_START, SESSION_STOP)]
        body = {"sources": sources, "destination_ids": [self.to]}
        self.rest.done("POST", "/event_subscriptions", body)

    def page(self, path: str) -> tuple[int, str]:
        """Ask for a private page."""
        port = int(re.findall(r"metrics are at http://127\.0\.0\.1:(\d+)/", self.service.log)[-1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the lines that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.page("/metrics")[1])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Generator[Scene]:
    folder = tmp_path_factory.mktemp("events")
    flags = ("--outgoing-allow", "127.0.0.0/8", "--listen-metrics", "127.0.0.1:0")
    with _receiving() as sink, running_service(folder, *flags) as service:
        yield Scene(service, sink)


@contextlib.contextmanager
def _echo() -> Generator[int]:
    """An upstream that sends back what it gets, and closes when the other end does."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        thread = threading.Thread(target=accept, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]


def _exchange(port: int, chance: random.Random) -> tuple[int, int]:
    """Connect, send and receive some, and end in one of three ways; return bytes sent and received."""
    sent = got = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for _ in range(chance.randint(0, 3)):
            data = os.urandom(chance.choice((1, 100, 20_000)))
            connection.sendall(data)
            sent += len(data)
            part = 0
            while part < len(data):  # so every byte is known to have passed both ways
                part += len(connection.recv(65536))
            got += part
        how = chance.randint(0, 2)
        if how == 0:  # half-closed first
            connection.shutdown(socket.SHUT_WR)
            got += len(connection.recv(1))
        elif how == 1:  # reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return sent, got


def _same_bytes(scene: Scene, port: int, count: int, seed: int) -> None:
    """Make connections from four threads; their counts must be those of the events."""
    before = len(scene.sink.of(TCP))
    counts: list[tuple[int, int]] = []

    def work(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        counts.extend(_exchange(port, chance) for _ in range(count // 4))

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    def told() -> list[dict[str, Any]]:
        found = [each["conn"] for each in scene.sink.of(TCP)[before:]]
        return [each for each in found if each["server_port"] == port]

    eventually(lambda: len(told()) >= count, "every connection is told of", timeout=60)
    assert sorted((each["bytes_in"], each["bytes_out"]) for each in told()) == sorted(counts)
    assert all(each["start_ts"] <= each["end_ts"] for each in told())


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.row("EV-04", "EV-19", "T-091", "T-092")
def test_byte_counts_are_those_of_the_clients(scene: Scene) -> None:
    with _echo() as upstream, running_agent(scene.service, "tcp", str(upstream)) as (_, url):
        _same_bytes(scene, _port_of(url), 80, 1)
        told = [each["conn"] for each in scene.sink.of(TCP) if each["conn"]["server_port"] == _port_of(url)]
        assert scene.metric("portway_received_bytes_total", scheme="tcp") == sum(x["bytes_in"] for x in told)
        assert scene.metric("portway_sent_bytes_total", scheme="tcp") == sum(x["bytes_out"] for x in told)
        assert scene.metric("portway_connections_total", scheme="tcp") == len(told)


@pytest.mark.long
@pytest.mark.row("EV-04")
def test_byte_counts_of_a_thousand_connections_with_kills(scene: Scene) -> None:
    with _echo() as upstream, running_agent(scene.service, "tcp", str(upstream)) as (_, url):
        for round_ in range(4):
            _same_bytes(scene, _port_of(url), 252, round_)


def _get(scene: Scene, url: str, path: str, **fields: str) -> tuple[int, int]:
    """Ask an https endpoint; return status and length of the body."""
    host = url.removeprefix("https://").partition(":")[0]
    port = scene.service.bootstrap.https_port
    context = ssl.create_default_context(cafile=scene.service.bootstrap.ca_cert)
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname=host)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    found = answer.status, len(answer.read())
    connection.close()
    return found


@contextlib.contextmanager
def _online(scene: Scene, folder: Path, policy: str, upstream: int) -> Generator[tuple[AgentProcess, str]]:
    file = folder / "policy.yml"
    file.write_text(policy)
    command = ("http", str(upstream), "--traffic-policy-file", str(file))
    with running_agent(scene.service, *command) as made:
        yield made


POLICY = """
on_http_request:
  - expressions: ["req.url.path == '/made'"]
    actions: [{type: custom-response, config: {status_code: 418, body: teapot}}]
  - expressions: ["req.url.path == '/denied'"]
    actions: [{type: log, config: {metadata: {why: "no"}}}, {type: deny}]
"""


@pytest.mark.row("EV-05", "EV-06", "EV-03")
def test_every_end_of_a_request_is_told(scene: Scene, tmp_path: Path) -> None:
    with _receiving() as upstream, _online(scene, tmp_path, POLICY, upstream.server_address[1]) as (_, url):
        paths = ("/made", "/denied", "/post")
        seen = {path: _get(scene, url, path, **{"User-Agent": "Test"}) for path in paths}
    with _online(scene, tmp_path, "{}", 9) as (_, url):
        seen["/offline"] = _get(scene, url, "/offline")
    assert {path: status for path, (status, _) in seen.items()} == {
        "/made": 418, "/denied": 403, "/post": 501, "/offline": 502,
    }  # fmt: skip

    def told() -> dict[str, dict[str, Any]]:
        return {each["http"]["request"]["url"]["path"]: each for each in scene.sink.of(HTTP)}

    eventually(lambda: seen.keys() <= told().keys(), "every request is told of")
    for path, (status, length) in seen.items():
        answer = told()[path]["http"]["response"]
        assert (answer["status_code"], answer["body_length"]) == (status, length), path
        assert told()[path]["http"]["request"]["method"] == "GET"
    assert told()["/denied"]["traffic_policy"]["logs"] == [{"metadata": {"why": "no"}}]
    assert told()["/made"]["http"]["request"]["headers"]["User-Agent"] == ["test"]
    assert told()["/post"]["tls"]["version"] == "TLSv1.3"
    envelope = next(each for each in scene.sink.events if each["event_type"] == HTTP)
    assert envelope["principal"] is None


@pytest.mark.row("EV-09")
def test_sessions_tell_how_they_began_and_ended(scene: Scene) -> None:
    token = scene.rest.credential()

    def told(kind: str) -> list[str]:
        """Return the errors of the session's events of one type."""
        return [each["error"] for each in scene.sink.of(kind) if each["credential"]["id"] == token["id"]]

    with running_agent(scene.service, "tcp", "9", "--authtoken", token["token"]):
        assert eventually(lambda: told(SESSION_START), "the start is told")[0] == ""
        scene.rest.done("DELETE", f"/credentials/{token['id']}")
        assert "revoked" in eventually(lambda: told(SESSION_STOP), "the end is told")[0]


def _visited(port: int) -> bool:
    """Visit an edge that nobody serves; tell whether it listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as visitor:
            with contextlib.suppress(OSError):
                assert visitor.recv(1) == b""
            return True
    except OSError:
        return False


@pytest.mark.row("EV-12", "EV-13", "EV-15", "EV-19")
def test_audit_events_survive_an_absent_receiver_and_a_kill(scene: Scene) -> None:
    rest = scene.rest
    rest.done("PATCH", f"/event_destinations/{scene.to}", {"durable": True})
    address = rest.done("POST", "/edges/tcp?whole=true", {})["hostports"][0]
    port = int(address.rpartition(":")[2])
    arrived = rest.done("POST", f"/event_destinations/{scene.to}/test")["event_id"]
    assert arrived in {each["event_id"] for each in scene.sink.events}
    assert scene.page("/healthz") == (200, "ok\n")
    assert scene.page("/readyz") == (200, "ready\n")
    scene.sink.away = True
    made = rest.done("POST", "/api_keys", {"description": "while it was away"})
    assert rest.call("POST", f"/event_destinations/{scene.to}/test").code == "5132"
    spool = scene.service.data / "spool" / scene.to
    eventually(lambda: _visited(port) and list(spool.glob("*.jsonl")), "a visit is on the disk", timeout=30)
    failing = eventually(
        lambda: rest.done("GET", f"/event_destinations/{scene.to}")["delivery"]["last_error"], "it shows"
    )
    assert "503" in failing
    scene.service.restart(kill=True)
    scene.sink.away = False
    scene.rest = Rest(scene.service)

    def keys() -> list[str]:
        return [each["id"] for each in scene.sink.of(AUDIT)]

    eventually(lambda: made["id"] in keys(), "the event arrives after the restart", timeout=30)
    assert keys().count(made["id"]) == 1

    eventually(
        lambda: any(each["conn"]["server_port"] == port for each in scene.sink.of(TCP)),
        "the visit is told of after the restart",
        timeout=30,
    )

    def delivered() -> float:
        labels = {"destination": scene.to, "result": "delivered"}
        return scene.metric("portway_event_deliveries_total", **labels)

    counted = eventually(lambda: delivered() >= 2 and delivered(), "both are counted", timeout=30)
    assert scene.rest.done("GET", f"/event_destinations/{scene.to}")["delivery"]["delivered"] >= counted
    assert scene.metric("portway_api_requests_total", method="GET") >= 1
    assert scene.metric("portway_store_up") == 1
    assert scene.metric("portway_certificate_expiry_timestamp_seconds", kind="service") > time.time()
