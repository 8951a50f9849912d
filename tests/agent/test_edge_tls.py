"""TLS that ends at the service's edge, asked for with the words of older SDKs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.kit import mutual
from tests.kit.certificates import Authority
from tests.kit.fake_service import FakeService
from tests.kit.service import DOMAIN, Running, running_worker

import portway
from portway import ConfigError, Session, TLSTermination
from portway.agent import default
from portway.agent.edge_tls import EdgeTLS

NAME = f"shop.{DOMAIN}"
OWN = Authority()
CRT, KEY = OWN.issue(NAME)
CAS = mutual.authority().pem


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a default agent of its own."""
    monkeypatch.setattr(default, "default_agent", portway.Agent())


@pytest.mark.parametrize(
    ("scheme", "said", "meant"),
    [
        ("tls", {}, {}),
        ("tcp", {}, {}),
        ("tls", {"terminate_at": "upstream"}, {}),
        ("tls", {"terminate_at": "edge"}, {"modules": {"TLSTermination": {}}}),
        ("tls", {"crt": CRT, "key": KEY}, {"modules": {"TLSTermination": {"cert": CRT, "key": KEY}}}),
        (
            "tls",
            {"crt": CRT.decode(), "key": KEY, "terminate_at": "edge", "mutual_tls_cas": CAS},
            {
                "modules": {
                    "TLSTermination": {"cert": CRT, "key": KEY},
                    "MutualTLSAtEdge": {"mutual_tls_ca": CAS},
                }
            },
        ),
        (
            "tls",
            {"crt": CRT, "key": KEY, "terminate_at": "agent", "mutual_tls_cas": CAS},
            {"agent_tls_termination": TLSTermination(CRT, KEY, CAS)},
        ),
        ("https", {"mutual_tls_cas": CAS}, {"modules": {"MutualTLSCA": {"mutual_tls_ca": CAS}}}),
        ("https", {"terminate_at": "edge"}, {"modules": {}}),
    ],
)
def test_what_is_meant(scheme: str, said: dict[str, Any], meant: dict[str, object]) -> None:
    assert EdgeTLS(**said).options(scheme) == meant


@pytest.mark.parametrize(
    ("scheme", "said", "why"),
    [
        ("tls", {"crt": CRT}, "go together"),
        ("tls", {"key": KEY}, "go together"),
        ("tls", {"mutual_tls_cas": CAS}, "upstream ends TLS"),
        ("tls", {"crt": CRT, "key": KEY, "terminate_at": "upstream"}, "upstream ends TLS"),
        ("tls", {"terminate_at": "agent"}, "needs crt and key"),
        ("tls", {"terminate_at": "moon"}, "moon"),
        ("tls", {"crt": "/none.pem", "key": KEY}, "/none.pem"),
        ("tcp", {"crt": CRT, "key": KEY}, "tcp endpoints have no TLS"),
        ("http", {"mutual_tls_cas": CAS}, "http endpoints have no TLS"),
        ("https", {"crt": CRT, "key": KEY}, "ends at the edge"),
        ("https", {"terminate_at": "agent"}, "ends at the edge"),
    ],
)
def test_what_makes_no_sense(scheme: str, said: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        EdgeTLS(**said).options(scheme)


@pytest.fixture
async def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_worker() as running:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(running.certs.ca)
        monkeypatch.setenv("PORTWAY_CONNECT_URL", f"127.0.0.1:{running.agent_port}")
        monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(ca))
        monkeypatch.setenv("PORTWAY_AUTHTOKEN", "good")
        yield running


async def visit(port: int, context: ssl.SSLContext) -> bytes:
    """Send a greeting; return what comes back until the end."""
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
        writer.write(b"hello")
        answer = await reader.read(5)
        writer.transport.abort()
        return answer


async def refused(port: int, context: ssl.SSLContext) -> bool:
    """Tell whether a visitor is sent away; TLS 1.3 says so only after its handshake."""
    try:
        return await visit(port, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("form", ["keywords", "builder"])
async def test_the_edge_ends_it_with_our_certificate(edge: Running, tmp_path: Path, form: str) -> None:
    if form == "keywords":
        (tmp_path / "key.pem").write_bytes(KEY)
        listener = await portway.listen(
            proto="tls", domain=NAME, crt=CRT, key=tmp_path / "key.pem", mutual_tls_cas=CAS
        )
    else:
        session = await Session.builder().connect()
        builder = session.tls_endpoint().domain(NAME)
        listener = await builder.termination(CRT, KEY).mutual_tlsca(CAS).listen()
    stranger, known = OWN.client_context(), OWN.client_context()
    mutual.client().show(known)
    visiting = asyncio.create_task(visit(edge.https_port, known))
    connection = await listener.accept()
    assert not connection.passthrough_tls
    assert await connection.reader.readexactly(5) == b"hello", "plain bytes: the edge has ended TLS"
    connection.writer.write(b"again")
    await connection.writer.drain()
    assert await visiting == b"again"
    connection.abort()
    assert await refused(edge.https_port, stranger), "without a certificate of ours"
    await listener.agent.disconnect()


async def test_the_words_reach_the_service(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
    monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(tmp_path / "ca.pem"))
    await portway.forward(80, proto="http", mutual_tls_cas=CAS, modules={"Compression": {}})
    await portway.forward(80, proto="tls", terminate_at="edge")
    await portway.forward(80, proto="tls", crt=CRT, key=KEY, terminate_at="agent")
    session = await Session.builder().authtoken("t").connect()
    await session.http_endpoint().mutual_tlsca(CAS).domain("a.example").listen()
    ours = service.last.binds
    await session.tls_endpoint().agent_tls_termination(TLSTermination(CRT, KEY)).listen()
    listener = await session.tcp_endpoint().agent_tls_termination(TLSTermination(CRT, KEY)).listen()
    assert listener.agent_tls_termination is not None
    binds = service.arrived[0].binds
    assert binds[0].opts["MutualTLSCA"]
    assert binds[0].opts["Compression"] == {}
    assert binds[1].opts["TLSTermination"] == {}
    assert binds[2].opts["TLSTermination"] is None
    assert ours[0].opts["MutualTLSCA"]
    assert ours[1].opts["TLSTermination"] is None
    await session.close()
    await default.default_agent.disconnect()
