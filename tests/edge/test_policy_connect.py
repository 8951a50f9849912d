"""The phase on_tcp_connect on a whole data plane: tcp, tls, http and https, before and behind TLS."""

import contextlib
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from tests.kit import mutual
from tests.kit.agent import Agent, code
from tests.kit.service import DOMAIN, Running, running_worker
from tests.kit.traffic import visitor

from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.net.tasks import Tasks
from portway.net.tls import agent_context
from portway.session import StreamType

RESTRICT = "on_tcp_connect: [{actions: [{type: restrict-ips, config: {%s: [127.0.0.1/32]}}]}]"
ALLOW = RESTRICT % "allow"
DENY = RESTRICT.replace("%s: [127.0.0.1/32]", "allow: ['::/0', '0.0.0.0/0'], deny: [127.0.0.1/32]")
HTTP_NAME = f"app.{DOMAIN}"


@asynccontextmanager
async def bound(
    proto: str, policy: str, url: str = "", **opts: Any
) -> AsyncGenerator[tuple[Running, Agent, str]]:
    """Run a data plane with one endpoint that has this policy; yield its URL too."""
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind(proto, {"URL": url, "TrafficPolicy": policy, **opts})
        assert answer["Error"] == "", answer
        yield service, agent, answer["URL"]


def port_of(service: Running, proto: str, url: str) -> int:
    if proto == "tcp":
        return int(url.rpartition(":")[2])
    return service.http_port if proto == "http" else service.https_port


def context_of(service: Running, proto: str) -> ssl.SSLContext | None:
    return agent_context(service.certs.ca) if proto in ("https", "tls") else None


async def is_closed(service: Running, proto: str, url: str) -> None:
    """Visit, and see the connection closed without a byte."""
    port = port_of(service, proto, url)
    if proto in ("https", "tls"):
        with pytest.raises((ConnectionError, ssl.SSLError)):
            async with visitor(port, tls=context_of(service, proto), name=HTTP_NAME):
                pass
        return
    async with visitor(port) as (reader, writer):
        if proto == "http":
            writer.write(f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


URLS = {
    "tcp": "",
    "tls": f"tls://{HTTP_NAME}",
    "http": f"http://{HTTP_NAME}",
    "https": f"https://{HTTP_NAME}",
}


@pytest.mark.row("T-013", "P-16", "P-39", "P-65")
@pytest.mark.parametrize("proto", list(URLS))
async def test_who_may_not_enter_is_closed_before_anything_and_told_of(proto: str) -> None:
    async with bound(proto, DENY, URLS[proto]) as (service, agent, url):
        await is_closed(service, proto, url)
        assert agent.visitors.empty()
        event = await service.events.next(TcpConnectionClosed)
        assert (event.ip_policy_decision, event.url) == ("block", url)
        assert "ERR_NGROK_3203" in event.error
        assert not service.events.of(HttpRequestComplete)


@pytest.mark.row("T-013", "P-16")
async def test_who_may_enter_a_tcp_endpoint_is_served() -> None:
    async with bound("tcp", ALLOW) as (service, agent, url):
        async with visitor(port_of(service, "tcp", url)) as (reader, writer):
            taken = await agent.visitor()
            writer.write(b"hi")
            assert await taken.read(2) == b"hi"
            taken.finish(b"bye")
            assert await reader.read() == b"bye"
        event = await service.events.next(TcpConnectionClosed)
        assert (event.ip_policy_decision, event.error) == ("allow", "")


@pytest.mark.row("T-013")
async def test_what_is_of_http_is_refused_on_tcp() -> None:
    policy = "on_tcp_connect: [{actions: [{type: custom-response}]}]"
    async with running_worker() as service, service.connected() as agent:
        assert code(await agent.bind("tcp", {"URL": "", "TrafficPolicy": policy})) == "2202"
        assert code(await agent.bind("tcp", {"URL": "", "TrafficPolicy": "on_http_request: []"})) == "2230"
        assert code(await agent.bind("tcp", {"URL": "", "Compression": {}})) == "2205"


@pytest.mark.row("P-13")
async def test_a_policy_is_swapped_under_a_live_connection() -> None:
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.bind("tcp", {"URL": "", "TrafficPolicy": ALLOW})
        port = port_of(service, "tcp", answer["URL"])
        async with visitor(port) as (reader, writer):
            taken = await agent.visitor()
            change = {"TunnelId": answer["Extra"]["TunnelID"], "TrafficPolicy": DENY}
            assert await agent.call(StreamType.PATCH, change) == {"Error": ""}
            await is_closed(service, "tcp", answer["URL"])
            writer.write(b"still")
            assert await taken.read(5) == b"still"
            taken.finish(b"here")
            assert await reader.read() == b"here"
        assert (
            code(await agent.call(StreamType.PATCH, change | {"TrafficPolicy": "on_tcp_connect: 1"}))
            == "2203"
        )
        await is_closed(service, "tcp", answer["URL"])  # what was refused has changed nothing
        assert await agent.call(StreamType.PATCH, change | {"TrafficPolicy": ""}) == {"Error": ""}
        async with visitor(port):
            await agent.visitor()


TERMINATE = """
on_tcp_connect:
  - actions:
      - {type: terminate-tls, config: {min_version: "1.3"}}
  - expressions: ["actions.ngrok.terminate_tls.version != '1.3' || conn.tls.sni != 'app.portway.localhost'"]
    actions: [{type: deny}]
  - actions:
      - type: log
        config:
          metadata:
            suite: "${conn.tls.cipher_suite}"
            shown: "${actions.ngrok.terminate_tls.server.san}"
"""


@pytest.mark.row("T-012", "P-16", "P-25", "P-27", "P-56")
async def test_tls_ends_here_where_a_policy_says_so_and_what_follows_sees_the_session() -> None:
    async with bound("tls", TERMINATE, URLS["tls"]) as (service, agent, _):
        trusting = agent_context(service.certs.ca)
        async with visitor(service.https_port, tls=trusting, name=HTTP_NAME) as (reader, writer):
            taken = await agent.visitor()
            assert not taken.header.passthrough_tls
            writer.write(b"clear")
            assert await taken.read(5) == b"clear"
            taken.finish(b"text")
            assert await reader.read() == b"text"
        event = await service.events.next(TcpConnectionClosed)
        [entry] = event.traffic_policy_logs
        metadata = cast("dict[str, dict[str, str]]", entry)["metadata"]
        assert metadata["suite"].startswith("TLS_")
        assert metadata["shown"].startswith("DNS:")
        old = agent_context(service.certs.ca)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with visitor(service.https_port, tls=old, name=HTTP_NAME):
                pass
        assert agent.visitors.empty()


@pytest.mark.row("P-26", "P-56")
async def test_mutual_tls_on_https_by_a_policy() -> None:
    pem = mutual.authority().pem.decode()
    indented = pem.replace("\n", "\n            ")
    policy = f"""
on_tcp_connect:
  - actions:
      - type: terminate-tls
        config:
          mutual_tls_certificate_authorities:
          - |
            {indented}
on_http_request:
  - actions:
      - type: custom-response
        config: {{body: "${{conn.tls.client.subject.common_name}}"}}
"""
    async with bound("https", policy, URLS["https"]) as (service, agent, url):
        head = f"GET / HTTP/1.1\r\nHost: {url.removeprefix('https://')}\r\nConnection: close\r\n\r\n".encode()
        context = mutual.client("visitor").show(agent_context(service.certs.ca))
        async with visitor(service.https_port, tls=context, name=HTTP_NAME) as (reader, writer):
            writer.write(head)
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert answer.endswith(b"visitor")

        async def without_certificate() -> bytes:
            plain = agent_context(service.certs.ca)
            async with visitor(service.https_port, tls=plain, name=HTTP_NAME) as (reader, writer):
                writer.write(head)
                return await reader.read()

        with pytest.raises((ssl.SSLError, ConnectionError)):
            await without_certificate()
        assert agent.visitors.empty()


@pytest.mark.row("P-14", "P-49")
async def test_a_connection_is_forwarded_to_an_internal_endpoint_and_its_rules_hold() -> None:
    forward = "on_tcp_connect: [{actions: [{type: forward-internal, config: {url: 'tcp://in.internal:1'}}]}]"
    async with running_worker() as service:
        outer, inner = await service.two_agents()
        answer = await outer.bind("tcp", {"URL": "", "TrafficPolicy": forward})
        assert answer["Error"] == ""
        await is_closed(service, "tcp", answer["URL"])  # nobody is there
        target = await inner.bind("tcp", {"URL": "tcp://in.internal:1"})
        assert target["Error"] == "", target
        port = port_of(service, "tcp", answer["URL"])
        async with visitor(port) as (_, writer):
            taken = await inner.visitor()
            writer.write(b"x")
            assert await taken.read(1) == b"x"
        change = {"TunnelId": target["Extra"]["TunnelID"], "TrafficPolicy": DENY}
        assert await inner.call(StreamType.PATCH, change) == {"Error": ""}
        await is_closed(service, "tcp", answer["URL"])
        assert outer.visitors.empty()
        for agent in (outer, inner):
            await agent.leave()


async def test_tls_options_and_terminate_tls_exclude_each_other() -> None:
    async with running_worker() as service, service.connected() as agent:
        policy = "on_tcp_connect: [{actions: [{type: terminate-tls}]}]"
        opts: dict[str, Any] = {"URL": URLS["tls"], "TrafficPolicy": policy, "TLSTermination": {}}
        assert code(await agent.bind("tls", opts)) == "2203"
        mutual_tls = {"mutual_tls_ca": b64encode(mutual.authority().pem).decode()}
        opts = {"URL": URLS["https"], "TrafficPolicy": policy, "MutualTLSCA": mutual_tls}
        assert code(await agent.bind("https", opts)) == "2203"


async def test_members_of_a_pool_may_bring_different_policies() -> None:
    deny = "on_http_request: [{actions: [{type: deny}]}]"
    async with running_worker() as service:
        one, two = await service.two_agents()
        for agent, text in ((one, ""), (two, deny)):
            opts = {"URL": URLS["http"], "TrafficPolicy": text}
            assert (await agent.bind("http", opts, PoolingEnabled=True))["Error"] == ""

        async def serve() -> None:
            while True:
                (await one.visitor()).finish(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        tasks = Tasks()
        tasks.start(serve(), name="serve")
        statuses: set[bytes] = set()
        while len(statuses) < 2:
            async with visitor(service.http_port) as (reader, writer):
                writer.write(f"GET / HTTP/1.1\r\nHost: {HTTP_NAME}\r\nConnection: close\r\n\r\n".encode())
                statuses.add((await reader.readline()).split(b" ")[1])
        assert statuses == {b"200", b"403"}
        assert two.visitors.empty()
        await tasks.close()
        for agent in (one, two):
            await agent.leave()
