"""Edges on the whole product: made by the API, served by labelled listeners, visited by real programs."""

import asyncio
import contextlib
import json
import logging
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.eventually import eventually
from tests.kit.product import Service, running_service
from tests.kit.rest import Rest
from tests.kit.sdk import Sdk
from tests.kit.traffic import echo, server, visitor

import portway
from portway.model.event_types import HTTP, TCP

pytestmark = pytest.mark.xdist_group("edges")

LINGER_NOT = struct.pack("ii", 1, 0)
"""The setting of a socket that makes its close a reset."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all of these tests, whose traffic events go to a file."""
    with running_service(tmp_path_factory.mktemp("edges"), "--log-format", "json") as service:
        rest = Rest(service)
        to = rest.done("POST", "/event_destinations", {"target": {"file": {"path": "traffic.jsonl"}}})
        body = {"sources": [{"type": HTTP}, {"type": TCP}], "destination_ids": [to["id"]]}
        rest.done("POST", "/event_subscriptions", body)
        yield service


@pytest.fixture(scope="module")
def sdk(service: Service) -> Generator[Sdk]:
    """One session of the official Python SDK."""
    with Sdk("python", service) as sdk:
        sdk.connect()
        yield sdk


def told(service: Service, kind: str, **conn: object) -> list[dict[str, Any]]:
    """Return the exported events of one type so far whose connection was such, in order."""
    lines = [line for file in (service.data / "events").rglob("traffic.jsonl") for line in lines_of(file)]
    events = [json.loads(line) for line in lines]
    assert all(each["principal"] is None for each in events)
    objects = [each["object"] for each in events if each["event_type"] == kind]
    return [each for each in objects if conn.items() <= each["conn"].items()]


def lines_of(file: Path) -> list[str]:
    """Return the complete lines of a file that is being written to."""
    return file.read_text().rpartition("\n")[0].splitlines()


def causes(service: Service, port: int) -> list[str]:
    """Return the errors that the service's log has for the connections at a port."""
    lines = (json.loads(line) for line in lines_of(service.log_file) if '"tcp connection"' in line)
    return [each["error"] for each in lines if each.get("server_port") == port and "error" in each]


async def until(look: Any, what: str) -> None:
    """Wait until something is so, with the loop running on."""
    await asyncio.to_thread(eventually, look, what, timeout=30)


async def made(service: Service, kind: str = "tcp", **fields: Any) -> dict[str, Any]:
    """Make an edge with its address and its backend in one step."""
    edge: dict[str, Any] = await asyncio.to_thread(
        Rest(service).done, "POST", f"/edges/{kind}?whole=true", fields
    )
    return edge


async def opened(service: Service, edge: dict[str, Any]) -> int:
    """Wait until a TCP edge listens at its address, and until that visit is told of; return the port."""
    (hostport,) = edge["hostports"]
    port = int(hostport.rpartition(":")[2])
    await until(lambda: is_open(port), "the edge listens")
    await until(lambda: told(service, TCP, server_port=port), "the first visit is told of")
    return port


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def own_agent(service: Service) -> AsyncGenerator[portway.Agent]:
    """Run an agent of ours in this process."""
    known = service.bootstrap
    async with portway.Agent(
        authtoken=known.authtoken, connect_url=known.connect_url, connect_cas=Path(known.ca_cert)
    ) as agent:
        yield agent


async def echoed(port: int, payload: bytes) -> bytes:
    """Send some bytes through a TCP endpoint; return what comes back."""
    async with visitor(port) as (reader, writer):
        writer.write(payload)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), 20)


def turned_away(port: int) -> bool:
    """Visit; tell whether the connection was closed and not a byte was said."""
    with socket.create_connection(("127.0.0.1", port), 20) as visitor:
        try:
            return visitor.recv(1) == b""
        except ConnectionResetError:
            return True


async def refused(port: int) -> bool:
    """Do the same with the loop running on."""
    return await asyncio.to_thread(turned_away, port)


# -- who serves ----------------------------------------------------------------------------------


@pytest.mark.row("T-087")
async def test_a_labelled_listener_serves_the_edge(service: Service, sdk: Sdk) -> None:
    await serves(service, sdk)


@pytest.mark.row("T-087")
async def test_a_labelled_listener_of_the_node_sdk_serves_the_edge(service: Service) -> None:
    with Sdk("node", service) as sdk:
        await asyncio.to_thread(sdk.connect)
        await serves(service, sdk)


async def serves(service: Service, sdk: Sdk) -> None:
    """An official SDK's listener serves an edge, and does not once it is closed."""
    edge = await made(service)
    port = await opened(service, edge)
    async with server(echo) as upstream:
        name = await asyncio.to_thread(sdk.serve, {"edge": edge["id"]}, f"tcp://localhost:{upstream}")
        assert await echoed(port, b"hello through the edge") == b"hello through the edge"
        await asyncio.to_thread(sdk.unbind, name)
        await until(lambda: turned_away(port), "nobody serves any more")


@pytest.mark.row("T-080", "T-087", "T-081")
async def test_a_listener_of_ours_serves_both_addresses_of_an_edge(service: Service) -> None:
    edge = await made(service)
    rest = Rest(service)
    more = (await asyncio.to_thread(rest.address))["addr"]
    both = [*edge["hostports"], more]
    edge = await asyncio.to_thread(rest.done, "PATCH", f"/edges/tcp/{edge['id']}", {"hostports": both})
    ports = [await opened(service, {"hostports": [each]}) for each in edge["hostports"]]
    async with own_agent(service) as agent:
        listener = await agent.listen(labels={"edge": edge["id"]})
        assert (str(listener.url), listener.labels) == ("", {"edge": edge["id"]})
        for port in ports:
            async with visitor(port) as (reader, writer):
                writer.write(b"ping")
                async with await asyncio.wait_for(listener.accept(), 20) as taken:
                    assert await taken.reader.readexactly(4) == b"ping"
                    taken.writer.write(b"pong")
                    await taken.writer.drain()
                    assert await asyncio.wait_for(reader.readexactly(4), 20) == b"pong"


# -- what is told of it --------------------------------------------------------------------------


@pytest.mark.row("T-091", "T-092", "ED-10", "EV-04")
async def test_bytes_through_a_tcp_edge_are_those_of_its_visitors(service: Service) -> None:
    edge = await made(service)
    port = await opened(service, edge)
    before = len(told(service, TCP, server_port=port))
    async with server(echo) as upstream, own_agent(service) as agent:
        await agent.forward(f"127.0.0.1:{upstream}", labels={"edge": edge["id"]})
        sizes = [(way, size) for way in ("finished", "closed", "reset") for size in (0, 1, 1000, 200_000)]
        await asyncio.gather(*(exchanged(port, *each) for each in sizes))
        await until(lambda: len(told(service, TCP, server_port=port)) >= before + 12, "all are told of")
    events = told(service, TCP, server_port=port)[before:]
    found = sorted((each["conn"]["bytes_in"], each["conn"]["bytes_out"]) for each in events)
    assert found == sorted((size, size) for _, size in sizes)
    for each in events:
        conn = each["conn"]
        assert (conn["server_ip"], conn["server_name"]) == ("127.0.0.1", "localhost")
        # A socket that was reset before it could be looked at has no other end any more.
        assert conn["client_ip"] == "127.0.0.1" or not conn["bytes_in"]
        assert conn["start_ts"] <= conn["end_ts"]
        assert each["ip_policy"]["decision"] == ""


async def exchanged(port: int, way: str, size: int) -> None:
    """Send some bytes, wait until all are back, and end in some way."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(size))
        await reader.readexactly(size)
        if way == "finished":
            writer.write_eof()
            assert await reader.read(-1) == b""
        elif way == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.row("T-089", "T-092", "T-093", "T-094", "T-095", "ED-10")
async def test_a_denied_visitor_is_told_of_as_blocked(service: Service) -> None:
    rest = Rest(service)
    policy = (await asyncio.to_thread(rest.done, "POST", "/ip_policies", {}))["id"]
    rule = {"ip_policy_id": policy, "action": "allow", "cidr": "127.0.0.2/32"}
    await asyncio.to_thread(rest.done, "POST", "/ip_policy_rules", rule)
    edge = await made(service, ip_restriction={"ip_policy_ids": [policy]})
    port = await opened(service, edge)
    async with server(echo) as upstream, own_agent(service) as agent:
        await agent.forward(f"127.0.0.1:{upstream}", labels={"edge": edge["id"]})
        assert await refused(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        writer.write(b"let in")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(-1), 20) == b"let in"
        writer.close()
        await until(
            lambda: told(service, TCP, server_port=port, client_ip="127.0.0.2"), "the second is told of"
        )
    (entered,) = told(service, TCP, server_port=port, client_ip="127.0.0.2")
    assert entered["ip_policy"]["decision"] == "allow"
    assert (entered["conn"]["bytes_in"], entered["conn"]["bytes_out"]) == (6, 6)
    *_, denied = told(service, TCP, server_port=port, client_ip="127.0.0.1")
    assert denied["ip_policy"]["decision"] == "block"
    assert (denied["conn"]["bytes_in"], denied["conn"]["bytes_out"]) == (0, 0)


@pytest.mark.row("T-088", "T-093", "T-094", "T-095", "ED-10")
async def test_why_nobody_was_served_stands_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    edge = await made(service)
    port = await opened(service, edge)
    assert await refused(port)
    await until(lambda: any("ERR_NGROK_6515" in each for each in causes(service, port)), "no tunnel")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    async with own_agent(service) as agent:
        await agent.forward(f"127.0.0.1:{nobody}", labels={"edge": edge["id"]})
        with caplog.at_level(logging.WARNING, "portway.agent"):
            assert await refused(port)
            await until(lambda: f"127.0.0.1:{nobody}" in caplog.text, "the agent tells of its dial")
        off = {"backend": {"enabled": False, "backend_id": edge["backend"]["backend"]["id"]}}
        await asyncio.to_thread(Rest(service).done, "PATCH", f"/edges/tcp/{edge['id']}", off)

        def no_backend() -> bool:
            return turned_away(port) and any("6528" in each for each in causes(service, port))

        await until(no_backend, "no backend")
    events = told(service, TCP, server_port=port)
    assert all(each["conn"]["bytes_out"] == 0 for each in events)


# -- HTTP through an edge ------------------------------------------------------------------------

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ACCEPT_KEY = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
"""The answer to the example key of RFC 6455, section 1.3."""

UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

HELLO = bytes.fromhex("818537fa213d7f9f4d5158")
"""A masked text frame, section 5.7 of RFC 6455."""


async def upstream_of_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept a WebSocket and echo its bytes; begin a long answer to everything else and never end it."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"upgrade: websocket" in head.lower():
        writer.write(ACCEPTED + ACCEPT_KEY)
        await echo(reader, writer)
        return
    await reader.readexactly(7)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1234)
    await reader.read(-1)


@pytest.mark.row("EV-05", "ED-10")
async def test_a_websocket_and_a_visitor_that_goes_away_are_told_of_with_their_lengths(
    service: Service,
) -> None:
    known = service.bootstrap
    name = f"edge-events.{known.domain}"
    rest = Rest(service)
    await asyncio.to_thread(rest.done, "POST", "/reserved_domains", {"name": name})
    edge = await made(service, "https", hostports=[f"{name}:443"])
    tls = ssl.create_default_context(cafile=known.ca_cert)
    async with server(upstream_of_both) as upstream, own_agent(service) as agent, asyncio.timeout(60):
        await agent.forward(f"http://127.0.0.1:{upstream}", labels={"edge": edge["id"]})
        async with visitor(known.https_port, tls=tls, name=name) as (reader, writer):
            writer.write(f"GET /socket HTTP/1.1\r\nHost: {name}\r\n{UPGRADE}{KEY}\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            writer.write(HELLO * 3)
            assert await reader.readexactly(3 * len(HELLO)) == HELLO * 3
        async with visitor(known.https_port, tls=tls, name=name) as (reader, writer):
            writer.write(f"POST /gone HTTP/1.1\r\nHost: {name}\r\nContent-Length: 7\r\n\r\nrequest".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(1234)
            writer.transport.abort()

        def both() -> bool:
            return len(told(service, HTTP, server_name=name)) >= 2

        await until(both, "both are told of")
    events = {each["http"]["request"]["url"]["path"]: each for each in told(service, HTTP, server_name=name)}
    lengths = {path: lengths_of(each) for path, each in events.items()}
    assert lengths == {"/socket": (101, 3 * len(HELLO), 3 * len(HELLO)), "/gone": (200, 7, 1234)}


def lengths_of(event: dict[str, Any]) -> tuple[int, int, int]:
    """Return status and lengths of the bodies of a request."""
    answer = event["http"]["response"]
    return answer["status_code"], event["http"]["request"]["body_length"], answer["body_length"]
