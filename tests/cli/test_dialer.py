"""How the service is reached: name servers, the interface, revoked certificates, and how long it may take."""

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.kit.certs import Certs
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.name_server import name_server
from tests.kit.traffic import server

from portway import Agent, ConfigError, ConnectError
from portway.agent.config.model import Settings
from portway.agent.options import AgentKeywords
from portway.cli.dialer import options_of
from portway.net.tasks import Tasks
from portway.net.tls import agent_context, service_context

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Authority:
    """An authority that revokes."""

    def __init__(self) -> None:
        """Issue the service's certificate."""
        self.ca = trustme.CA()
        self.issued = self.ca.issue_cert("localhost", "127.0.0.1", "connect.test")
        self.chain = b"".join(each.bytes() for each in self.issued.cert_chain_pems)

    def certs(self) -> Certs:
        """Return what a service is run with."""
        key, pem = self.issued.private_key_pem.bytes(), self.ca.cert_pem.bytes()
        return Certs(pem, self.chain, key, service_context(self.chain, key), agent_context(pem))

    def revoked(self, *, mine: bool, form: serialization.Encoding = serialization.Encoding.DER) -> bytes:
        """Return the list, with the service's certificate on it or not."""
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        made = x509.CertificateRevocationListBuilder(issuer.subject, NOW - DAY, NOW + DAY)
        serial = x509.load_pem_x509_certificate(self.chain).serial_number if mine else 7
        made = made.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, NOW - DAY).build())
        key: Any = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        return made.sign(key, hashes.SHA256()).public_bytes(form)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def service(authority: Authority) -> AsyncIterator[FakeService]:
    service = FakeService(authority.certs())
    await service.start()
    yield service
    await service.close()


def serving(
    status: str, body: bytes
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Make a little HTTP server that always says the same."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        await writer.drain()
        writer.close()

    return serve


def told(settings: Settings, connect_url: str) -> AgentKeywords:
    """Return the options of an agent that is to connect there."""
    options = options_of(settings)
    options["connect_url"] = connect_url
    return options


def test_nothing_said_nothing_done() -> None:
    assert options_of(Settings()) == {}
    assert options_of(Settings(crl_url="http://x.test/", crl_noverify=True)) == {}
    assert options_of(Settings(connect_timeout=3.0)) == {"connect_timeout": 3.0}


async def test_the_users_name_server_finds_the_service(service: FakeService) -> None:
    async with name_server({"connect.test": ["127.0.0.9", "127.0.0.1"]}) as (port, asked):
        settings = Settings(dns_resolver_ips=(f"127.0.0.1:{port}",))
        url = f"connect.test:{service.port}"
        async with agent_of(service, **told(settings, url)) as agent:
            await agent.connect(timeout=20)
        assert asked
        with pytest.raises(ConnectError, match="there is no such name"):
            async with agent_of(service, **told(settings, "x.test:1")) as agent:
                await agent.connect()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds connections to interfaces")
async def test_the_connection_leaves_by_an_interface(service: FakeService) -> None:
    async with agent_of(service, **options_of(Settings(connect_interface="lo"))) as agent:
        await agent.connect(timeout=20)
    with pytest.raises(ConnectError, match="connect_interface nosuch0: No such device"):
        async with agent_of(service, **options_of(Settings(connect_interface="nosuch0"))) as agent:
            await agent.connect()


def test_interfaces_are_linuxs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ConfigError, match="only Linux"):
        options_of(Settings(connect_interface="en0"))


@pytest.mark.parametrize("form", [serialization.Encoding.DER, serialization.Encoding.PEM])
async def test_a_revoked_certificate(
    service: FakeService, authority: Authority, form: serialization.Encoding
) -> None:
    for mine in (False, True):
        async with server(serving("200 OK", authority.revoked(mine=mine, form=form))) as port:
            settings = Settings(crl_url=f"http://127.0.0.1:{port}/list")
            async with agent_of(service, **options_of(settings)) as agent:
                if not mine:
                    await agent.connect(timeout=20)
                    continue
                with pytest.raises(ConnectError, match="revoked"):
                    await agent.connect()


@pytest.mark.parametrize(
    ("status", "body"), [("404 Not Found", b""), ("200 OK", b"no list"), ("200 OK", b"")]
)
async def test_without_its_list_there_is_no_connection(
    service: FakeService, status: str, body: bytes
) -> None:
    async with server(serving(status, body)) as port:
        settings = Settings(crl_url=f"http://127.0.0.1:{port}/list")
        async with agent_of(service, **options_of(settings)) as agent:
            with pytest.raises(ConnectError, match=r"crl_url: http:"):
                await agent.connect()
    assert not service.arrived


def test_a_list_comes_by_http() -> None:
    with pytest.raises(ConfigError, match="file:///x: an http:// or https:// URL is wanted"):
        options_of(Settings(crl_url="file:///x"))


async def test_a_service_that_takes_too_long() -> None:
    """Its TCP stands at once; TLS never comes."""
    deaf = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await deaf.wait()
        writer.close()

    heard: asyncio.Queue[str] = asyncio.Queue()
    async with server(serve) as port:
        options = told(Settings(connect_timeout=0.2), f"127.0.0.1:{port}")
        options["event_handlers"] = [lambda event: heard.put_nowait(str(getattr(event, "error", "")))]
        async with Agent(**options) as agent, Tasks() as tasks:
            tasks.start(agent.connect(timeout=60), name="connect")
            async with asyncio.timeout(30):
                assert "does not answer within 0.2 s" in await heard.get()
        deaf.set()
