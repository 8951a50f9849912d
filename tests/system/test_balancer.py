"""A real HAProxy in front of the service: visitors keep their addresses, health checks harm nothing."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.kit.eventually import eventually_async
from tests.kit.ports import free
from tests.kit.programs import need
from tests.kit.service import DOMAIN, running_worker, settings
from tests.kit.tls_visitor import close_visitors, tls_visitor

from portway.model.url import parse_endpoint_url
from portway.net.tls import agent_context

PATIENCE = 20.0
VISITOR = "127.0.0.9"
"""Where visitors come from; HAProxy itself comes from 127.0.0.1."""

CONFIG = """
global
    log stderr local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 5s
"""
SECTION = """
listen port{port}
    bind 127.0.0.1:{port}
    server service 127.0.0.1:{to} {how} check check-send-proxy inter 100ms
"""


@asynccontextmanager
async def haproxy(folder: Path, how: str, *to: int) -> AsyncGenerator[list[int]]:
    """Run a balancer in front of these ports; give the ports that visitors use instead."""
    program, ports = need("haproxy"), free(len(to))
    sections = [SECTION.format(port=port, to=each, how=how) for port, each in zip(ports, to, strict=True)]
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG + "".join(sections))
    with (folder / "haproxy.log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            str(program), "-db", "-f", str(config), stdout=log, stderr=log
        )
    try:
        for port in ports:
            await listening(port)
        yield ports
    finally:
        running.terminate()
        await running.wait()


async def listening(port: int) -> None:
    """Wait until somebody accepts at a port."""

    async def accepts() -> bool:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return False
        writer.close()
        return True

    await eventually_async(accepts, "HAProxy listens", timeout=PATIENCE)


async def come(port: int, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Visit a port of the balancer from an address of our own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(VISITOR, 0))
    writer.write(said)
    return reader, writer


@pytest.mark.row("T-060")
@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
async def test_visitors_keep_their_addresses_behind_haproxy(tmp_path: Path, how: str) -> None:
    config = settings(proxy_from=(ip_network("127.0.0.1"),))
    async with running_worker(config=config) as service, service.connected() as agent:
        bound = await agent.bind("tcp", {"URL": "", "ProxyProto": 1})
        raw = parse_endpoint_url(bound["URL"]).port
        url = (await agent.bind("http", {"URL": f"http://a.{DOMAIN}"}))["URL"]
        await agent.bind("tls", {"URL": f"tls://t.{DOMAIN}", "TLSTermination": {}})
        ports = (raw, service.http_port, service.https_port)
        async with haproxy(tmp_path, how, *ports) as (tcp, http, https):
            while not agent.visitors.empty():
                agent.visitors.get_nowait()  # health checks, and who looked whether it listens
            reader, writer = await come(tcp, b"hello")
            own = "{}:{}".format(*writer.get_extra_info("sockname"))
            while (taken := await agent.visitor()).header.client_addr != own:
                pass
            line = await taken.reader.readuntil(b"\r\n")
            assert (
                line
                == "PROXY TCP4 {} 127.0.0.1 {} {}\r\n".format(VISITOR, own.rpartition(":")[2], tcp).encode()
            )
            assert await taken.read(5) == b"hello"
            taken.finish(b"bye")
            assert await reader.read() == b"bye"
            writer.close()

            host = url.partition("//")[2]
            reader, writer = await come(http, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            while (taken := await agent.visitor()).header.proto != "http":
                pass
            head = await taken.reader.readuntil(b"\r\n\r\n")
            assert f"X-Forwarded-For: {VISITOR}\r\n".encode() in head
            taken.finish(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 204 ")
            writer.close()

            visitor = await tls_visitor(https, agent_context(service.certs.ca), f"t.{DOMAIN}")
            while (taken := await agent.visitor()).header.proto != "tls":
                pass
            assert visitor.transport is not None
            assert taken.header.client_addr == "{}:{}".format(*visitor.transport.get_extra_info("sockname"))
            await close_visitors()
