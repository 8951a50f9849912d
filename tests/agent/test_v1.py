"""The call forms of the older SDKs."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kit.certs import Certs
from tests.kit.fake_service import FakeService
from tests.kit.service import running_worker
from tests.kit.threads import ServiceThread

import portway
from portway import ConfigError, EndpointForwarder, Error, Upstream
from portway.agent import default
from portway.agent.sync import farewell


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test default agents of its own."""
    monkeypatch.setattr(default, "default_agent", portway.Agent())
    monkeypatch.setattr(default, "_sync_agents", {})


@pytest.fixture
def known(service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeService:
    """Let the environment name the fake service."""
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
    monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(tmp_path / "ca.pem"))
    return service


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ServiceThread]:
    """Run a whole service in another thread, named by the environment."""
    with ServiceThread(running_worker) as service:
        (tmp_path / "ca.pem").write_bytes(service.ca)
        monkeypatch.setenv("PORTWAY_CONNECT_URL", service.connect_url)
        monkeypatch.setenv("PORTWAY_CONNECT_CAS", str(tmp_path / "ca.pem"))
        yield service
        farewell()


@pytest.mark.row("T-025", "T-028")
def test_forward_without_await_in_a_plain_script(
    edge: ServiceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "good")

    def echo_once() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        port = listening.getsockname()[1]
        tunnel = portway.forward(f"localhost:{port}", authtoken_from_env=True, proto="tcp")
        url = tunnel.url()
        assert type(url) is str
        assert url.startswith("tcp://localhost:")
        thread = threading.Thread(target=echo_once, daemon=True)
        thread.start()
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as visitor:
            visitor.settimeout(20)
            visitor.sendall(b"hello")
            assert visitor.recv(100) == b"hello"
        thread.join(20)
        assert tunnel.id.startswith("ep_")
        assert tunnel.endpoint.upstream_url == f"tcp://localhost:{port}"
        assert not tunnel.done()
        assert tunnel.wait(timeout=0.01) is False
        assert "Forwarding" in repr(tunnel)
        tunnel.close()
        assert tunnel.done()
        with pytest.raises(RuntimeError, match="online already"):
            tunnel.__await__()


SCRIPT = """
import portway
listener = portway.forward("localhost:9", authtoken_from_env=True, proto="tcp")
print(listener.url())
"""


@pytest.mark.row("T-025")
def test_the_documented_script_runs_as_it_is(
    edge: ServiceThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={
            "PORTWAY_CONNECT_URL": edge.connect_url,
            "PORTWAY_CONNECT_CAS": str(tmp_path / "ca.pem"),
            "NGROK_AUTHTOKEN": "good",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.startswith("tcp://localhost:")
    assert done.stderr == ""


async def test_forward_awaited_with_keywords(known: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "of-env")
    pending = portway.forward(addr=8080, authtoken_from_env=True, proto="tcp")
    with pytest.raises(RuntimeError, match="await"):
        pending.url()
    assert "to be awaited" in repr(pending)
    forwarder = await pending
    assert isinstance(forwarder, EndpointForwarder)
    assert forwarder.url() == "tcp://localhost:20001"
    assert forwarder.upstream_url == "tcp://localhost:8080"
    assert known.last.auth.extra.authtoken == "of-env"
    await forwarder.agent.disconnect()


@pytest.mark.row("G-032")
async def test_an_upstream_makes_it_the_default_agents_forward(
    known: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_AUTHTOKEN", "of-env")
    forwarder = await portway.forward(Upstream("localhost:80"), url="tcp://")
    assert forwarder.agent is default.default_agent
    assert forwarder.agent.endpoints == [forwarder]
    await forwarder.agent.disconnect()


@pytest.mark.row("G-032")
def test_with_an_upstream_it_is_a_coroutine_in_a_plain_script_too(
    certs: Certs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="PORTWAY_CONNECT_URL"):
        asyncio.run(portway.forward(Upstream(80)))


@pytest.mark.row("T-065")
async def test_the_older_words(known: FakeService) -> None:
    made = [
        await portway.forward(80, authtoken="t", proto="tcp", remote_addr="localhost:20123", proxy_proto="2"),
        await portway.forward("8080", authtoken="t", proto="http"),
        await portway.forward(80, authtoken="t", proto="http", domain="a.example"),
        await portway.forward(80, authtoken="t", proto="tls", domain="b.example", metadata="m"),
        await portway.forward(80, authtoken="t", url="http://c.example", proto="http"),
    ]
    binds = known.last.binds
    assert [(bind.proto, bind.opts["URL"]) for bind in binds] == [
        ("tcp", "tcp://localhost:20123"),
        ("https", ""),
        ("https", "a.example"),
        ("tls", "tls://b.example"),
        ("http", "http://c.example"),
    ]
    assert binds[0].opts["ProxyProto"] == 2
    assert binds[3].extra.metadata == "m"
    assert len({forwarder.agent for forwarder in made}) == 1
    await made[0].agent.disconnect()


@pytest.mark.row("T-065")
async def test_words_that_make_no_sense(known: FakeService) -> None:
    with pytest.raises(ConfigError):
        portway.forward(80, proxy_proto="3")
    with pytest.raises(ConfigError):
        await portway.forward(Upstream(80), proxy_proto=1)
    with pytest.raises(ConfigError):
        portway.forward(80, addr=80)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(ConfigError):
        portway.forward()  # pyright: ignore[reportCallIssue]


@pytest.mark.row("G-007")
def test_the_environments_token_and_no_other(edge: ServiceThread) -> None:
    with pytest.raises(Error) as caught:
        portway.forward(80, authtoken_from_env=True)
    assert caught.value.code == "ERR_NGROK_4018"


async def test_one_that_is_never_awaited_says_so() -> None:
    pending = portway.forward(80)
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del pending


@pytest.mark.row("T-023", "T-064")
async def test_listen_with_the_older_words(known: FakeService) -> None:
    pending = portway.listen(proto="tcp", authtoken="t", proxy_proto="1", metadata="m")
    assert "to be awaited" in repr(pending)
    listener = await pending
    assert listener.url() == "tcp://localhost:20001"
    assert listener.proxy_protocol is portway.ProxyProtocol.V1
    other = await portway.listen(proto="tls", authtoken="t", domain="a.example")
    assert known.last.binds[1].opts["URL"] == "tls://a.example"
    assert other.agent is listener.agent
    await listener.agent.disconnect()


@pytest.mark.row("T-034")
async def test_a_region_is_an_agent_of_its_own(known: FakeService) -> None:
    eu = await portway.listen(proto="tcp", authtoken="t", region="eu", remote_addr="localhost:20123")
    here = await portway.listen(proto="tcp", authtoken="t")
    assert eu.url == "tcp://localhost:20123"
    assert eu.agent is not here.agent
    assert eu.agent.options.region == "eu"
    await eu.agent.disconnect()
    await here.agent.disconnect()


@pytest.mark.row("T-053", "T-054")
async def test_listen_and_forward_takes_a_url(known: FakeService) -> None:
    made = [
        await portway.listen_and_forward("tcp://192.168.1.2:5432", authtoken="t"),
        await portway.listen_and_forward("tls://192.168.1.2:5432", authtoken="t", proto="tcp"),
        await portway.listen_and_forward("http://192.168.1.2", authtoken="t"),
        await portway.forward(addr="192.168.1.2:5432", authtoken="t", proto="tcp"),
    ]
    assert [forwarder.protocol for forwarder in made] == ["tcp", "tcp", "https", "tcp"]
    assert [str(forwarder.upstream_url) for forwarder in made] == [
        "tcp://192.168.1.2:5432",
        "tls://192.168.1.2:5432",
        "http://192.168.1.2:80",
        "tcp://192.168.1.2:5432",
    ]
    await made[0].agent.disconnect()


@pytest.mark.row("T-023", "T-054")
def test_listen_in_a_plain_script(edge: ServiceThread) -> None:
    listening = portway.listen(proto="tcp", authtoken="good")
    with socket.create_connection(("127.0.0.1", listening.url.port or 0)) as visitor:
        visitor.sendall(b"hello")
        with listening.accept(timeout=20) as connection:
            assert connection.recv(100) == b"hello"
            connection.sendall(b"you too")
            assert visitor.recv(100) == b"you too"
    assert isinstance(listening.endpoint, portway.EndpointListener)
    listening.close()
    with pytest.raises(portway.ListenerClosed):
        listening.accept()
