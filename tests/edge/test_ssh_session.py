"""One SSH client from its key to its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.kit.fault_proxy import fault_proxy
from tests.kit.pipes import Bell, Recorder
from tests.kit.ssh import GRANT, Client, SshService, running_ssh

from portway.edge.ports import Revoked
from portway.edge.ssh_limits import SshLimits
from portway.errors import Error, SessionClosed, StreamLimit
from portway.model.event import AgentSessionStarted, AgentSessionStopped, EndpointOffline, EndpointOnline
from portway.model.view import SshKeyItem
from portway.wire.messages import ProxyHeader

HEADER = ProxyHeader("ep_1", "192.0.2.7:4711", "tcp", "0", False)


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[SshService]:
    async with running_ssh(tmp_path, ssh=SshLimits(request=0.4, channels=2)) as running:
        yield running


class Echo(asyncssh.SSHTCPSession[bytes]):
    """A client's end of a channel that gives back what it gets."""

    def connection_made(self, chan: "asyncssh.SSHTCPChannel[bytes]") -> None:
        self._write = cast("Any", chan).write

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._write(data)


def echo(_host: str, _port: int) -> Echo:
    return Echo()


def nothing(_host: str, _port: int) -> Any:
    return False


async def refused(service: SshService, command: str, host: str = "localhost", port: int = 0) -> str:
    """Ask for what is refused; return the code, which stands alone on a line."""
    async with service.client(command, host, port) as client:
        status, said = await client.ended()
        assert client.listener is None
        assert status == 1
        assert said.strip().splitlines()[0].startswith("ERROR:")
        return said.strip().splitlines()[-1].removeprefix("ERR_NGROK_")


@pytest.mark.row("T-022", "K-31")
async def test_a_random_address_is_told_twice(service: SshService) -> None:
    """By the reply to the forwarding, as ssh prints it, and in the terminal."""
    async with service.client("tcp --metadata m", serve=echo) as client:
        assert client.listener is not None
        port = client.listener.get_port()
        assert port in service.worker.config.tcp_ports
        online = service.events.of(EndpointOnline)[0]
        assert (online.url, online.metadata) == (f"tcp://localhost:{port}", "m")
        assert client.process is not None
        said = await client.process.stdout.readuntil(str(port))
        assert "Good Account (Plan: free)" in said
        assert f"Forwarding         tcp://localhost:{port}" in said
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        started = service.events.of(AgentSessionStarted)[0]
        assert (started.transport, started.credential_id, started.account_id) == (
            "ssh",
            "sshcr_good",
            "ac_good",
        )
        assert started.session_id == online.session_id
    stopped = await service.events.next(AgentSessionStopped)
    assert (stopped.transport, stopped.session_id) == ("ssh", started.session_id)
    assert service.events.of(EndpointOffline)[0].url == online.url


@pytest.mark.row("K-31")
async def test_the_visitor_is_the_originator(service: SshService) -> None:
    seen: list[tuple[str, int]] = []

    def serve(host: str, port: int) -> Echo:
        seen.append((host, port))
        return Echo()

    async with service.client(serve=serve) as client:
        assert client.listener is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", client.listener.get_port())
        writer.write(b"x")
        await reader.readexactly(1)
        assert seen == [writer.get_extra_info("sockname")]
        writer.close()


@pytest.mark.row("T-033", "K-31")
async def test_a_reserved_address_without_a_version(service: SshService) -> None:
    port = service.worker.config.tcp_ports[3]
    service.control.reserve_address(port)
    async with service.client("tcp", "localhost", port, user="somebody") as client:
        assert client.listener is not None
        assert service.events.of(EndpointOnline)[-1].url == f"tcp://localhost:{port}"
    await service.events.next(EndpointOffline)
    assert await refused(service, "tcp", "localhost", port + 1) == "307"
    async with service.client(f"tcp --url tcp://localhost:{port}", user="somebody") as client:
        assert client.listener is not None
        assert service.events.of(EndpointOnline)[-1].url == f"tcp://localhost:{port}"
        assert service.events.of(EndpointOnline)[-1].tcp_addr_id == f"ra_{port}"


@pytest.mark.parametrize(
    ("command", "port", "scheme"),
    [("http", 443, "https"), ("http", 80, "http"), ("http", 0, "https"), ("tls", 443, "tls")],
)
async def test_names(service: SshService, command: str, port: int, scheme: str) -> None:
    async with service.client(command, "app.portway.localhost", port) as client:
        assert client.listener is not None
        url = service.events.of(EndpointOnline)[0].url
        public = service.http_port if scheme == "http" else service.https_port
        assert url == f"{scheme}://app.portway.localhost:{public}"
        assert client.listener.get_port() == (port or public)


async def test_rules_and_claims_are_those_of_agents(service: SshService) -> None:
    taken = service.worker.config.tcp_ports[5]
    service.control.reserve_address(taken, "ac_other")
    assert await refused(service, f"tcp --url localhost:{taken}") == "309"
    assert await refused(service, "http", "foreign.test", 443) == "319"
    assert await refused(service, "http --name " + "n" * 300) == "18012"
    async with service.client("http", "one.portway.localhost", 443) as client:
        assert client.listener is not None
        assert await refused(service, "http", "one.portway.localhost", 443) == "334"
    service.keys.put("good", replace(GRANT, acl=("bind:only.portway.localhost",)))


async def test_a_pool_of_two_clients(service: SshService) -> None:
    async with (
        service.client("http --pooling-enabled", "p.portway.localhost", 443),
        service.client("http --pooling-enabled", "p.portway.localhost", 443) as second,
    ):
        assert second.listener is not None
        endpoint = service.worker.registry.find("https", "p.portway.localhost")
        assert endpoint is not None
        assert len(endpoint.pool.members) == 2


@pytest.mark.row("K-31")
async def test_rules_of_a_key(service: SshService) -> None:
    service.keys.put("good", replace(GRANT, acl=("bind:only.portway.localhost",)))
    assert await refused(service, "tcp") == "356"
    assert await refused(service, "http", "other.portway.localhost", 443) == "316"
    async with service.client("http", "only.portway.localhost", 443) as client:
        assert client.listener is not None
        service.control.view.apply([SshKeyItem("sshcr_good", "ac_good", ("bind:elsewhere.test",))])
        status, said = await client.ended()
        assert (status, "ERR_NGROK_316" in said) == (1, True)
        assert service.worker.registry.find("https", "only.portway.localhost") is None


async def test_a_key_that_is_deleted_ends_its_sessions(service: SshService) -> None:
    async with service.client("http") as client:
        service.control.revoke(Revoked(credential_id="sshcr_other"))
        service.control.revoke(Revoked(credential_id="sshcr_good"))
        status, said = await client.ended()
        assert (status, "no longer registered" in said) == (1, True)
        assert len(service.worker.registry) == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("nonsense", "1108"),
        ("http --authtoken x", "1109"),
        ("http 80", "1110"),
        ("tcp --proxy-proto=9", "1123"),
    ],
)
async def test_wrong_commands_are_told_in_the_session(service: SshService, command: str, code: str) -> None:
    assert await refused(service, command) == code


@pytest.mark.parametrize(
    ("host", "port", "command", "code"),
    [
        ("localhost", 8080, "http", "1113"),
        ("one.test", 0, "tcp --remote-addr two.test:1", "1114"),
        ("localhost", 5, "tcp --remote-addr two.test:1", "1115"),
        ("localhost", 4711, "tcp", "1116"),
        ("one.test", 0, "tcp", "1117"),
        ("one.test", 443, "http --hostname two.test", "1118"),
        ("one.test", 443, "http --subdomain two", "1119"),
        ("localhost", 443, "http --subdomain two --hostname a.b", "1120"),
    ],
)
async def test_parts_that_do_not_fit(
    service: SshService, host: str, port: int, command: str, code: str
) -> None:
    assert await refused(service, command, host, port) == code


async def test_a_shell(service: SshService) -> None:
    async with await service.connect() as connection:
        result = await connection.run(None, stdin=asyncssh.DEVNULL)
        assert (result.exit_status, "ERR_NGROK_1107" in str(result.stderr)) == (1, True)


async def test_a_command_without_a_forwarding(service: SshService) -> None:
    async with await service.connect() as connection:
        result = await connection.run("http")
        assert (result.exit_status, "ERR_NGROK_1112" in str(result.stderr)) == (1, True)


@pytest.mark.row("K-31")
async def test_a_forwarding_without_a_command(service: SshService) -> None:
    connection = await service.connect()
    with pytest.raises((asyncssh.ChannelListenError, asyncssh.DisconnectError)):
        await connection.create_server(nothing, "localhost", 0)
    await connection.wait_closed()
    assert service.events.of(AgentSessionStopped)[0].error.startswith("No command came within")


@pytest.mark.row("K-31")
async def test_help_and_an_unknown_version(service: SshService) -> None:
    async with await service.connect() as connection:
        result = await connection.run("tcp --help")
        assert (result.exit_status, "--url URL" in str(result.stdout)) == (0, True)
    async with await service.connect(user="v9") as connection:
        result = await connection.run("tcp")
        assert (result.exit_status, "ERR_NGROK_1106" in str(result.stderr)) == (1, True)


async def test_one_forwarding_a_connection(service: SshService) -> None:
    async with service.client("http") as client:
        with pytest.raises(asyncssh.ChannelListenError):
            await client.connection.create_server(nothing, "localhost", 443)
        status, said = await client.ended()
        assert (status, "ERR_NGROK_1105" in said) == (1, True)
        assert len(service.worker.registry) == 0


async def test_one_session_a_connection(service: SshService) -> None:
    async with service.client("http") as client:
        with pytest.raises(asyncssh.ChannelOpenError, match="ERR_NGROK_1104"):
            await client.connection.run("http")
        assert len(service.worker.registry) == 1


async def test_nothing_else_is_forwarded(service: SshService) -> None:
    async with service.client("http") as client:
        with pytest.raises(asyncssh.ChannelOpenError):
            await cast("Any", client.connection).open_connection("127.0.0.1", service.http_port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await cast("Any", client.connection).open_unix_connection("/tmp/x")
        with pytest.raises(asyncssh.ChannelListenError):
            await client.connection.create_unix_server(lambda: Echo(), "/tmp/y")
        assert len(service.worker.registry) == 1


async def test_a_client_that_takes_its_forwarding_back(service: SshService) -> None:
    async with service.client("http") as client:
        assert client.listener is not None
        client.listener.close()
        assert (await service.events.next(EndpointOffline)).reason == "closed by the client"


async def test_channels_are_counted(service: SshService) -> None:
    async with service.client(serve=echo):
        sinks = [Recorder(Bell()) for _ in range(3)]
        pipes = [service.session.open_proxy(HEADER, sink) for sink in sinks[:2]]
        with pytest.raises(StreamLimit):
            service.session.open_proxy(HEADER, sinks[2])
        pipes[0].abort()
        for _ in range(200):
            try:
                service.session.open_proxy(HEADER, sinks[2])
                break
            except StreamLimit:
                await asyncio.sleep(0)
                await service.events.next(EndpointOnline)
        assert "pipes=2" in repr(service.session)
        session = service.session
    await service.events.next(AgentSessionStopped)
    assert sinks[1].resets == [14]
    assert sinks[2].resets == [14]
    assert not sinks[0].resets
    with pytest.raises(SessionClosed):
        session.open_proxy(HEADER, sinks[0])


async def test_an_upstream_that_the_client_cannot_reach(service: SshService) -> None:
    """An end without a byte, then a reset: http visitors are answered, others are let go."""

    async def unreachable(_host: str, _port: int) -> Any:
        raise asyncssh.ChannelOpenError(2, "connect failed")

    async with service.client(serve=unreachable):
        bell = Bell()
        sink = Recorder(bell)
        pipe = service.session.open_proxy(HEADER, sink)
        assert pipe.send(b"question") == 8
        await bell.until(lambda: bool(sink.resets))
        assert (sink.ends, sink.resets) == (1, [6])


@pytest.mark.parametrize(("keeps", "drawn"), [(True, False), (False, True)])
async def test_the_name_of_a_lost_client_waits_for_its_account(
    service: SshService, *, keeps: bool, drawn: bool
) -> None:
    """One that was drawn does not: nobody could ask for it again."""
    async with service.client("http", "localhost" if drawn else "mine.portway.localhost", 443) as client:
        url = service.events.of(EndpointOnline)[0].url
        client.connection.abort()
        await service.offline()
        assert (url in service.control.names) == keeps
    if keeps:
        async with service.client("http", "mine.portway.localhost", 443) as again:
            assert again.listener is not None


@pytest.mark.row("S28", "K-31")
async def test_remote_commands(service: SshService) -> None:
    async with service.client("http") as client:
        session_id = service.session.id
        for what, code in (("restart", "1122"), ("update", "1121")):
            with pytest.raises(Error) as wrong:
                await service.worker.command(session_id, what)
            assert wrong.value.code == f"ERR_NGROK_{code}"
        await service.worker.command(session_id, "stop")
        assert (await client.ended())[0] == 0
        assert len(service.worker.registry) == 0


async def test_a_client_behind_a_dead_network_is_noticed(tmp_path: Path) -> None:
    """Its name waits, its visitors are let go."""
    limits = SshLimits(alive_interval=0.2, alive_misses=1)
    async with running_ssh(tmp_path, ssh=limits) as service, fault_proxy(service.port) as proxy:
        connection = await service.connect(port=proxy.port)
        client = Client(connection)
        await client.forward("http", "mine.portway.localhost", 443, echo)
        sink = Recorder(Bell())
        service.session.open_proxy(HEADER, sink)
        proxy.mode = "swallow"
        stopped = await service.events.next(AgentSessionStopped)
        assert "not responding" in stopped.error
        assert sink.resets == [14]
        await service.settled()
        assert [each.held_until is not None for each in service.control.names.values()] == [True]
        connection.abort()
        await connection.wait_closed()
