"""The SDK without await, against a service on a loop of its own thread."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.kit.certs import Certs
from tests.kit.service import running_worker
from tests.kit.threads import ServiceThread

from portway import Error, ListenerClosed, NotConnected, SyncAgent, SyncConnection
from portway.agent import sync
from portway.agent.sync import farewell


@pytest.fixture
def goodbye() -> Iterator[None]:
    """End the loop that all synchronous agents share."""
    yield
    farewell()


@pytest.fixture
def edge(goodbye: None) -> Iterator[ServiceThread]:
    """Run a whole service in another thread."""
    with ServiceThread(running_worker) as service:
        yield service


def agent_of(edge: ServiceThread, token: str = "good") -> SyncAgent:
    return SyncAgent(authtoken=token, connect_url=edge.connect_url, connect_cas=edge.ca)


def echo_once(listening: socket.socket) -> None:
    connection, _ = listening.accept()
    with connection:
        while data := connection.recv(1000):
            connection.sendall(data)


@pytest.mark.row("T-025")
def test_forward_in_the_background(edge: ServiceThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, agent_of(edge) as agent:
        thread = threading.Thread(target=echo_once, args=(listening,), daemon=True)
        thread.start()
        forwarder = agent.forward(listening.getsockname()[1], url="tcp://")
        assert agent.connected
        assert agent.session.id.startswith("ts_")
        assert agent.endpoints == [forwarder.endpoint]
        assert forwarder.url.scheme == "tcp"
        assert forwarder.url() == str(forwarder.url)
        assert forwarder.upstream_url.scheme == "tcp"
        assert (forwarder.protocol, forwarder.error) == ("tcp", None)
        assert forwarder.id.startswith("ep_")
        with socket.create_connection(("127.0.0.1", forwarder.url.port or 0)) as visitor:
            visitor.sendall(b"hello")
            assert visitor.recv(100) == b"hello"
        thread.join()
        assert forwarder.wait(timeout=0.01) is False
        forwarder.close()
        assert forwarder.wait() is True
        assert forwarder.done()
        assert "EndpointForwarder" in repr(forwarder)
    assert not agent.connected
    with pytest.raises(NotConnected):
        _ = agent.session


def test_accept_and_talk_as_with_a_socket(edge: ServiceThread) -> None:
    with agent_of(edge) as agent, agent.listen("tcp://") as listener:
        with pytest.raises(TimeoutError):
            listener.accept(timeout=0.01)
        with socket.create_connection(("127.0.0.1", listener.url.port or 0)) as visitor:
            visitor.sendall(b"ping")
            with listener.accept(timeout=10) as connection:
                assert isinstance(connection, SyncConnection)
                assert connection.remote_addr == f"127.0.0.1:{visitor.getsockname()[1]}"
                assert connection.recv(100) == b"ping"
                connection.sendall(b"pong")
                connection.shutdown(socket.SHUT_WR)
                assert visitor.recv(100) == b"pong"
                assert visitor.recv(100) == b""
                visitor.shutdown(socket.SHUT_WR)
                assert connection.recv(100) == b""
        listener.close()
        with pytest.raises(ListenerClosed):
            listener.accept()


def test_a_file_a_buffer_and_a_timeout(edge: ServiceThread) -> None:
    with agent_of(edge) as agent, agent.listen("tcp://") as listener:
        visitor = socket.create_connection(("127.0.0.1", listener.url.port or 0))
        with visitor, listener.accept(timeout=20) as connection:
            assert connection.getpeername() == visitor.getsockname()
            connection.settimeout(0.01)
            assert connection.gettimeout() == 0.01
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(None)
            visitor.sendall(b"GET / HTTP/1.0\r\n\r\nrest")
            file = connection.makefile()
            assert [file.readline(), file.readline()] == [b"GET / HTTP/1.0\r\n", b"\r\n"]
            assert file.read(4) == b"rest"
            file.write(b"answer")
            file.flush()
            assert visitor.recv(100) == b"answer"
            visitor.sendall(b"abc")
            buffer = bytearray(8)
            assert connection.recv_into(buffer, 2) == 2
            assert connection.recv_into(memoryview(buffer)[2:]) == 1
            assert buffer == b"abc" + bytes(5)
            assert connection.send(memoryview(b"done")) == 4
            assert visitor.recv(100) == b"done"


@pytest.mark.row("G-003")
def test_a_synchronous_listener_serves_an_application(edge: ServiceThread) -> None:
    async def app(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())

    with agent_of(edge) as agent:
        listener = agent.listen("tcp://")
        serving = threading.Thread(target=listener.serve, args=(app,), daemon=True)
        serving.start()
        with socket.create_connection(("127.0.0.1", listener.url.port or 0)) as visitor:
            visitor.sendall(b"loud")
            visitor.shutdown(socket.SHUT_WR)
            assert visitor.recv(100) == b"LOUD"
        listener.update(name="now with a name")
        assert listener.endpoint.name == "now with a name"
        assert agent.diagnose(timeout=20).region
        listener.close()
        serving.join(20)
        assert not serving.is_alive()


def test_a_refusal_is_raised_in_the_calling_thread(edge: ServiceThread) -> None:
    agent = agent_of(edge, token="bad")
    with pytest.raises(Error) as caught:
        agent.connect()
    assert caught.value.code == "ERR_NGROK_107"
    agent.disconnect()


def test_making_and_leaving_an_agent_starts_nothing() -> None:
    with SyncAgent() as agent:
        assert repr(agent) == "<SyncAgent not connected>"
    assert "portway" not in [thread.name for thread in threading.enumerate()]


def test_a_goodbye_that_is_cut_short_leaves_no_loose_end(
    edge: ServiceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine under load may not manage it in time; what is left over would fail another test."""
    agent = agent_of(edge)
    agent.listen("tcp://")
    monkeypatch.setattr(sync, "FAREWELL", 0.0)
    farewell()
    assert "portway" not in [thread.name for thread in threading.enumerate()]


SCRIPT = """
import portway
agent = portway.SyncAgent()
print(agent.listen("tcp://").url, flush=True)
"""


def test_a_program_that_ends_says_goodbye(edge: ServiceThread, tmp_path: Path, certs: Certs) -> None:
    (tmp_path / "ca.pem").write_bytes(edge.ca)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env={
            "PORTWAY_CONNECT_URL": edge.connect_url,
            "PORTWAY_CONNECT_CAS": str(tmp_path / "ca.pem"),
            "PORTWAY_AUTHTOKEN": "good",
            "PATH": "",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    url = done.stdout.strip()
    assert url.startswith("tcp://localhost:")
    assert edge.names() == []


def test_a_sync_endpoint_tells_the_same_of_itself(edge: ServiceThread) -> None:
    with agent_of(edge) as agent:
        listener = agent.listen("tcp://", name="n", metadata="m", description="d", proxy_protocol=1)
        forwarder = agent.forward("localhost:1")
        for each in (listener, forwarder):
            for name, value in vars(type(each.endpoint).__mro__[1]).items():
                if isinstance(value, property) and name not in ("agent", "error"):
                    assert getattr(each, name) == getattr(each.endpoint, name), name
        assert (listener.name, listener.metadata, listener.description) == ("n", "m", "d")
        assert str(listener.addr) == listener.url.host
        assert (forwarder.upstream_protocol, forwarder.upstream_tls_context) == ("http", None)
        forwarder.update_upstream("localhost:2")
        assert forwarder.upstream_url == "http://localhost:2"


class Greeter(BaseHTTPRequestHandler):
    """A handler of the standard library, which knows nothing but a socket."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello " + self.path.encode())

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - as in the base


def test_the_standard_library_takes_it_for_a_socket(edge: ServiceThread) -> None:
    with agent_of(edge) as agent:
        listener = agent.listen("tcp://")
        with socket.create_connection(("localhost", listener.url.port or 0), timeout=20) as visitor:
            visitor.sendall(b"GET /there HTTP/1.0\r\n\r\n")
            with listener.accept(20) as connection:
                Greeter(connection, connection.getpeername(), None)  # pyright: ignore[reportArgumentType]
            assert visitor.makefile("rb").read().endswith(b"hello /there")
        with socket.create_connection(("localhost", listener.url.port or 0), timeout=20) as visitor:
            visitor.sendall(b"text\n")
            with listener.accept(20) as connection:
                assert connection.makefile("r", encoding="ascii").readline() == "text\n"
                for mode, buffering in (("a", None), ("r+", None), ("r", 0)):
                    with pytest.raises(ValueError, match=r"mode|binary"):
                        connection.makefile(mode, buffering)
                with pytest.raises(ValueError, match="negative"):
                    connection.recv(-1)
                connection.shutdown(socket.SHUT_WR)
                with pytest.raises(BrokenPipeError):
                    connection.sendall(b"late")
