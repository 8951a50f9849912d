"""Where the way to the service breaks."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
from tests.kit.certs import Certs, make_certs
from tests.kit.fake_service import Arrived, FakeService, agent_of
from tests.kit.proxies import little_proxy
from tests.kit.upstreams import echo, upstream

from portway import (
    Agent,
    ConfigError,
    ConnectError,
    DiagnoseFailure,
    Diagnoser,
    Error,
    is_muxado_diagnose_failure,
    is_tcp_diagnose_failure,
    is_tls_diagnose_failure,
)
from portway.agent.diagnose import DiagnoseResult
from portway.wire.messages import SrvInfoResp

PREDICATES = {
    "tcp": is_tcp_diagnose_failure,
    "tls": is_tls_diagnose_failure,
    "muxado": is_muxado_diagnose_failure,
}


def only(step: str, error: BaseException) -> bool:
    """Say whether exactly the predicate of this step holds."""
    return [name for name, holds in PREDICATES.items() if holds(error)] == [step]


def leaf_of(certs: Certs) -> bytes:
    end = "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(certs.chain.decode().partition(end)[0] + end)


@pytest.mark.row("G-140")
def test_an_agent_can_diagnose() -> None:
    assert isinstance(Agent(), Diagnoser)
    assert not isinstance(object(), Diagnoser)


@pytest.mark.row("G-141")
async def test_a_session_that_stands_is_left_alone(service: FakeService) -> None:
    async with agent_of(service) as agent:
        await agent.connect()
        session = agent.session
        result = await agent.diagnose()
        assert result.region == "somewhere"
        assert agent.session is session
        await service.until(lambda: service.last.closed)
        assert [arrived.closed for arrived in service.arrived] == [False, True]
        assert service.last.asked_where == 1
        assert service.last.auth.client_id == service.last.auth.extra.authtoken == ""


@pytest.mark.row("G-144")
async def test_the_latency_is_that_of_the_answer(service: FakeService) -> None:
    async def slowly(arrived: Arrived) -> SrvInfoResp:
        asyncio.get_running_loop().call_later(0.05, go.set)
        await go.wait()
        return SrvInfoResp(region="far away")

    go = asyncio.Event()
    service.on_srv_info = slowly
    assert (await agent_of(service).diagnose()).latency >= 0.04  # a timer may be a little early


@pytest.mark.row("G-141")
async def test_the_name_is_that_of_the_configured_address(certs: Certs) -> None:
    named = FakeService(make_certs("service.test"))
    await named.start()
    async with agent_of(named, connect_url="service.test:1") as agent:
        result = await agent.diagnose(f"127.0.0.1:{named.port}")
        assert result.addr == f"127.0.0.1:{named.port}"
    with pytest.raises(DiagnoseFailure) as caught:
        await agent_of(named).diagnose()
    assert only("tls", caught.value)
    await named.close()


@pytest.mark.row("G-034", "G-037", "G-142")
async def test_a_port_that_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DiagnoseFailure) as caught:
        await Agent().diagnose(f"127.0.0.1:{port}")
    assert only("tcp", caught.value)
    assert caught.value.result == DiagnoseResult(f"127.0.0.1:{port}")
    assert isinstance(caught.value, ConnectError)
    assert not isinstance(caught.value, Error)


@pytest.mark.row("G-035")
async def test_a_server_without_tls() -> None:
    async with upstream(echo) as plain:
        with pytest.raises(DiagnoseFailure) as caught:
            await Agent().diagnose(f"127.0.0.1:{plain.port}")
    assert only("tls", caught.value)
    assert caught.value.result.peer_certificates == ()


@pytest.mark.row("G-035")
async def test_an_authority_that_is_not_trusted(service: FakeService) -> None:
    with pytest.raises(DiagnoseFailure, match="certificate") as caught:
        await agent_of(service, connect_cas=make_certs().ca).diagnose()
    assert only("tls", caught.value)


async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read(1)


@pytest.mark.row("G-036", "G-145")
@pytest.mark.parametrize("serve", [end, garbage, echo])
async def test_a_server_behind_tls_that_is_no_service(
    certs: Certs, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    async with upstream(serve, tls=certs.server) as other:
        with pytest.raises(DiagnoseFailure) as caught:
            await Agent(connect_cas=certs.ca).diagnose(f"127.0.0.1:{other.port}", timeout=10)
    assert only("muxado", caught.value)
    assert caught.value.result.peer_certificates[0] == leaf_of(certs)


@pytest.mark.row("G-037")
async def test_the_predicates_see_through_chains() -> None:
    failure = DiagnoseFailure("tls", "no", DiagnoseResult("x"))
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = failure  # as `raise … from` does
    assert only("tls", wrapped)
    assert only("tls", ExceptionGroup("several", [ValueError(), wrapped]))
    for foreign in (None, ValueError(), ConnectError("tls", "of a connect"), RuntimeError()):
        assert not any(holds(foreign) for holds in PREDICATES.values())


@pytest.mark.row("G-037")
def test_a_circle_of_causes_ends() -> None:
    one, two = RuntimeError(), RuntimeError()
    one.__cause__, two.__cause__ = two, one
    assert not is_tcp_diagnose_failure(one)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.row("G-146")
async def test_the_deadline_holds_at_each_step(service: FakeService, certs: Certs) -> None:
    class Stuck:
        async def dial(self, network: str, address: str) -> socket.socket:
            await asyncio.Event().wait()
            raise AssertionError

    async def never(arrived: Arrived) -> SrvInfoResp:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(DiagnoseFailure, match=r"within 0.1 s") as caught:
        await agent_of(service, dialer=Stuck()).diagnose(timeout=0.1)
    assert only("tcp", caught.value)
    async with upstream(silent) as mute:
        with pytest.raises(DiagnoseFailure, match=r"within 0.5 s") as caught:
            await Agent(connect_cas=certs.ca).diagnose(f"127.0.0.1:{mute.port}", timeout=0.5)
        assert only("tls", caught.value)
    service.on_srv_info = never
    with pytest.raises(DiagnoseFailure, match=r"within 2 s") as caught:
        await agent_of(service).diagnose(timeout=2)
    assert only("muxado", caught.value)


@pytest.mark.row("G-141")
async def test_it_goes_through_the_proxy(service: FakeService) -> None:
    async with little_proxy("http", {"127.0.0.1": service.port}) as proxy:
        agent = agent_of(service, proxy_url=f"http://127.0.0.1:{proxy.port}")
        assert (await agent.diagnose()).region == "somewhere"
    with pytest.raises(DiagnoseFailure, match="proxy") as caught:
        await agent.diagnose()
    assert only("tcp", caught.value)


async def test_an_application_s_own_context_is_left_as_it_was(service: FakeService) -> None:
    context = service.certs.client
    await agent_of(service, connect_cas=context).diagnose()
    assert context.sslobject_class is ssl.SSLObject


async def test_nothing_known() -> None:
    with pytest.raises(ConfigError, match="no service to connect to"):
        await Agent().diagnose()


async def test_authorities_that_cannot_be_read(service: FakeService) -> None:
    with pytest.raises(ConfigError):
        await agent_of(service, connect_cas=b"none").diagnose()


async def test_cancelled_it_leaves_nothing(service: FakeService) -> None:
    async def never(arrived: Arrived) -> SrvInfoResp:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    begun = asyncio.Event()
    service.on_srv_info = never
    running = asyncio.ensure_future(agent_of(service).diagnose())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await service.until(lambda: service.last.closed)
