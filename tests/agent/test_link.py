"""One session with the service: what it asks of the agent, and how it ends."""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.pipes import End, Recorder
from tests.kit.proxies import Login, little_proxy
from tests.kit.traffic import server

from portway import (
    Agent,
    AgentDisconnected,
    ConfigError,
    ConnectError,
    EndpointListener,
    Event,
    SessionClosed,
)
from portway.agent.link import Link
from portway.agent.options import AgentKeywords
from portway.errors import MessageError
from portway.net.tls import service_context
from portway.session import StreamType
from portway.wire.messages import AuthResp, Bind, CommandResp


@pytest.mark.row("A13")
@pytest.mark.parametrize("kind", [StreamType.STOP, StreamType.RESTART, StreamType.UPDATE])
async def test_commands_are_answered_without_a_handler(service: FakeService, kind: StreamType) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        answer = json.loads(await service.last.live.call(kind, b"{}"))
        assert answer == {"Error": "the agent has not defined a callback for this operation"}
        assert agent.connected


@pytest.mark.row("A16")
async def test_a_request_that_nobody_knows_is_ended(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        with pytest.raises(MessageError, match="without an answer"):
            await service.last.live.call(77, b"{}", timeout=5)
        assert agent.connected


@pytest.mark.row("A13")
async def test_an_unreadable_stop_harms_nothing(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen()
        service.last.live.notify(StreamType.STOP_TUNNEL, b'{"Id": 5}')
        await agent.listen()
        assert not listener.done()


@pytest.mark.row("A13")
async def test_a_stop_is_ended_without_an_answer(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listener = await agent.listen()
        with pytest.raises(MessageError, match="without an answer"):
            await service.last.live.call(
                StreamType.STOP_TUNNEL, b'{"Id":"%b","Message":"gone"}' % listener.id.encode()
            )
        assert listener.done()


async def test_a_service_that_hangs_up_during_auth(service: FakeService) -> None:
    async def hang_up(arrived: Arrived) -> AuthResp:
        arrived.drop()
        return AuthResp()

    service.on_auth = hang_up
    with pytest.raises(ConnectError) as caught:
        await agent_of(service).connect()
    assert caught.value.step == "muxado"


async def test_another_port_of_the_service_is_not_for_agents(certs: Certs) -> None:
    """The words name the address, and what is mostly the reason."""

    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-here\r\n")
        await reader.read()
        writer.close()

    async with server(banner) as port:
        agent = Agent(authtoken="x", connect_url=f"localhost:{port}", connect_cas=certs.ca)
        with pytest.raises(ConnectError, match=rf"^localhost:{port}: TLS failed: .* for agents") as caught:
            await agent.connect()
    assert caught.value.step == "tls"
    assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_who_is_trusted_can_be_said(service: FakeService) -> None:
    with pytest.raises(ConnectError, match=r"unable to get local issuer.*connect_cas.*PORTWAY_CONNECT_CAS"):
        await agent_of(service, connect_cas="host").connect()


@pytest.mark.row("A12")
async def test_a_close_says_goaway_with_no_error(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
    await service.until(lambda: service.last.closed)
    assert isinstance(service.last.cause, SessionClosed)
    assert "no error" in str(service.last.cause) or "closed" in str(service.last.cause)


async def test_a_link_that_was_never_open() -> None:
    class Nobody:
        def visitor(self, header: object, pipe: object) -> None: ...
        def stopped(self, order: object) -> None: ...
        async def command(self, kind: int, body: bytes) -> CommandResp:
            raise NotImplementedError

        def heartbeat(self, link: object, latency: float) -> None: ...

    link = Link(Nobody())
    await link.unbind("ep_1")
    link.abort()
    await link.close()
    assert not link.closed
    with pytest.raises(SessionClosed):
        await link.bind(Bind(proto="tcp"))


# -- through proxies

NAME = "service.test"
ADDRESS = f"{NAME}:4443"
SCHEMES = ["http", "https", "socks5", "socks5h"]


@pytest.fixture
def trusted(certs: Certs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this machine trust the proxies' certificates; the service has an authority of its own."""
    bundle = tmp_path / "machine.pem"
    bundle.write_bytes(certs.ca)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


@pytest.fixture
async def hidden(trusted: None) -> AsyncIterator[FakeService]:
    """Run a service whose name only a proxy can resolve."""
    service = FakeService(make_certs(NAME))
    await service.start()
    yield service
    await service.close()


def tls_of(scheme: str, certs: Certs) -> ssl.SSLContext | None:
    return certs.server if scheme == "https" else None


def told(context: ssl.SSLContext) -> list[str | None]:
    """Return the list to which a server's context adds the names that it is asked for by SNI."""
    names: list[str | None] = []

    def note(_: object, name: str | None, __: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    return names


async def carry(service: FakeService, listener: EndpointListener) -> None:
    """Have a visitor send a MiB and get it back."""
    much = bytes(range(256)) * 4096
    recorder = Recorder(service.bell)
    there = End(service.last.visit(listener.id, recorder), recorder)
    async with await listener.accept() as connection:

        async def echo() -> None:
            left = len(much)
            while left:
                data = await connection.reader.read(65_536)
                left -= len(data)
                connection.writer.write(data)
                await connection.writer.drain()

        await asyncio.gather(there.put(much), echo())
        there.pipe.end()
    await service.until(lambda: bool(recorder.ends))
    assert bytes(recorder.data) == much


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize("login", ["", "ann:s%40cret"])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_session_goes_through_the_proxy(
    hidden: FakeService, certs: Certs, scheme: str, login: str
) -> None:
    """SNI and verification stay on the service, whose name arrives unresolved; reconnects as well."""
    names = told(hidden.certs.server)
    wanted = Login("ann", "s@cret") if login else None
    routes = {NAME: hidden.port}
    async with little_proxy(scheme, routes, login=wanted, tls=tls_of(scheme, certs)) as proxy:
        async with agent_of(hidden, connect_url=ADDRESS, proxy_url=proxy.url(login)) as agent:
            listener = await agent.listen("tcp://")
            await carry(hidden, listener)
            assert proxy.targets == [ADDRESS]
            assert proxy.logins == [wanted]
            assert names == [NAME]
            hidden.last.drop()
            await hidden.until(lambda: len(hidden.arrived) == 2 and len(hidden.last.binds) == 1)
            assert proxy.targets == [ADDRESS] * 2
            assert proxy.logins == [wanted] * 2
            assert names == [NAME] * 2
        await hidden.until(lambda: hidden.last.closed)
        assert isinstance(hidden.last.cause, SessionClosed), "an end as it should be"


@pytest.mark.row("A18")
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_refused_login_says_what_to_do(
    hidden: FakeService, certs: Certs, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the password stands neither in the error nor in an event, a log line or a repr."""
    caplog.set_level(logging.DEBUG)
    events: list[Event] = []
    tls = tls_of(scheme, certs)
    async with little_proxy(scheme, {NAME: hidden.port}, login=Login("ann", "right"), tls=tls) as proxy:
        given: AgentKeywords = {"connect_url": ADDRESS, "event_handlers": [events.append]}
        agent = agent_of(hidden, **(given | AgentKeywords(proxy_url=proxy.url("ann:se-cret"))))
        with pytest.raises(ConnectError, match="refuses the user and password of its URL") as wrong:
            await agent.connect()
        with pytest.raises(ConnectError, match="put user:password@ before the host in its URL"):
            await agent_of(hidden, **(given | AgentKeywords(proxy_url=proxy.url()))).connect()
        assert wrong.value.step == "proxy"
        assert proxy.targets == ([ADDRESS] * 2 if scheme in ("http", "https") else [])
    assert not hidden.arrived
    assert isinstance(events[0], AgentDisconnected)
    assert events[0].error is wrong.value
    assert "se-cret" not in f"{events} {wrong.value!r} {agent!r} {agent.options!r} {caplog.text}"


@pytest.mark.row("A18")
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_services_certificate_is_verified_through_a_proxy(
    service: FakeService, hidden: FakeService, certs: Certs, scheme: str
) -> None:
    """By its own authorities and for its own name: a proxy can neither be nor vouch for the service."""
    routes = {NAME: service.port, "other.test": hidden.port}
    async with little_proxy(scheme, routes, tls=tls_of(scheme, certs)) as proxy:
        with pytest.raises(ConnectError, match="certificate is not valid") as impostor:
            await agent_of(hidden, connect_url=ADDRESS, proxy_url=proxy.url()).connect()
        with pytest.raises(ConnectError, match="Hostname mismatch") as misnamed:
            await agent_of(hidden, connect_url="other.test:1", proxy_url=proxy.url()).connect()
    assert impostor.value.step == misnamed.value.step == "tls"
    assert proxy.targets == [ADDRESS, "other.test:1"]


@pytest.mark.row("A18")
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_comes_behind_the_reply_belongs_to_the_session(
    hidden: FakeService, certs: Certs, scheme: str
) -> None:
    """Bytes that are no TLS, sent in one piece with the reply: TLS fails over them, at once."""
    routes, tls = {NAME: hidden.port}, tls_of(scheme, certs)
    async with little_proxy(scheme, routes, tls=tls, early=b"HTTP/1.1 200 hello") as proxy:
        with pytest.raises(ConnectError) as caught:
            await agent_of(hidden, connect_url=ADDRESS, proxy_url=proxy.url()).connect()
    assert caught.value.step == "tls"


@pytest.mark.row("G-063")
@pytest.mark.parametrize("url", ["proxy.test:1", "ftp://ann:se-cret@proxy.test", "http://ann:se-cret@:1"])
async def test_a_bad_proxy_url_fails_at_connect(hidden: FakeService, url: str) -> None:
    """Not when the agent is made; with a timeout too, for no repetition heals it."""
    agent = agent_of(hidden, proxy_url=url)
    for timeout in (None, 1000.0):
        with pytest.raises(ConfigError, match="the proxy URL") as caught:
            await agent.connect(timeout)
        assert "se-cret" not in str(caught.value)
    assert not hidden.arrived


@pytest.mark.row("A18")
async def test_a_proxy_that_is_not_there_is_tried_again(hidden: FakeService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        port = taken.getsockname()[1]
        agent = agent_of(hidden, connect_url=ADDRESS, proxy_url=f"http://localhost:{port}")
        with pytest.raises(ConnectError, match="connection refused") as caught:
            await agent.connect()
        assert caught.value.step == "proxy"


@pytest.mark.row("A18")
async def test_the_environment_names_the_proxy(hidden: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy is for the world, not for this machine; what is said explicitly is for all."""
    async with little_proxy("http", {NAME: hidden.port, "127.0.0.1": hidden.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        async with agent_of(hidden, connect_url=ADDRESS) as agent:
            await agent.connect()
        assert proxy.targets == [ADDRESS]
        with pytest.raises(ConnectError, match="certificate is not valid"):
            await agent_of(hidden).connect()  # the certificate knows the name alone
        assert proxy.targets == [ADDRESS]
        with pytest.raises(ConnectError, match="certificate is not valid"):
            await agent_of(hidden, proxy_url=proxy.url()).connect()
        assert proxy.targets == [ADDRESS, hidden.connect_url]


@pytest.mark.row("G-065")
async def test_the_application_changes_the_tls_settings(certs: Certs, tmp_path: Path) -> None:
    own = make_certs("agent")
    server = service_context(certs.chain, certs.key)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(cadata=own.ca.decode())
    (tmp_path / "chain.pem").write_bytes(own.chain)
    (tmp_path / "key.pem").write_bytes(own.key)
    service = FakeService(replace(certs, server=server))
    await service.start()
    changed: list[ssl.SSLContext] = []

    def show_a_certificate(context: ssl.SSLContext) -> None:
        context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        changed.append(context)

    with pytest.raises(ConnectError):
        await agent_of(service).connect()
    async with agent_of(service, tls_config=show_a_certificate) as agent:
        await agent.connect()
        assert service.last.live.peer_certificate == ssl.PEM_cert_to_DER_cert(
            own.chain.decode().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
        )
        assert service.last.live.tls_version == "TLSv1.2"
    assert changed[0].check_hostname  # the defaults were there before
    await service.close()


@pytest.mark.row("G-065")
async def test_the_application_may_bring_a_whole_context(service: FakeService) -> None:
    def mine(context: ssl.SSLContext) -> ssl.SSLContext:
        return service.certs.client

    async with agent_of(service, connect_cas=None, tls_config=mine) as agent:
        await agent.connect()


@pytest.mark.row("G-065")
async def test_tls_settings_that_cannot_be_made(service: FakeService) -> None:
    def fail(context: ssl.SSLContext) -> None:
        raise FileNotFoundError("no such key")

    with pytest.raises(ConfigError, match="tls_config failed: no such key"):
        await agent_of(service, tls_config=fail).connect()

    def wrong(context: ssl.SSLContext) -> Any:
        return 5

    async def waits(context: ssl.SSLContext) -> None: ...

    def other_side(context: ssl.SSLContext) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    for changed in (wrong, waits, other_side):
        with pytest.raises(ConfigError, match="what tls_config returns"):
            await agent_of(service, tls_config=changed).connect()  # pyright: ignore[reportArgumentType]
    assert service.arrived == []
