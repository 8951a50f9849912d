"""The gateway over real sockets: who may come in, who is replaced, revoked, kept over a restart."""

import asyncio
import ssl
import warnings

import pytest
from tests.kit.agent import code
from tests.kit.service import GRANT, FakeControl, running_worker, settings

from portway.edge.ports import Limits, Revoked
from portway.errors import PortwayError
from portway.model.event import AgentSessionStopped, EndpointOffline
from portway.session import StreamType


@pytest.mark.row("S1")
@pytest.mark.parametrize("sni", [True, False])
async def test_agents_are_accepted_with_and_without_sni_and_need_no_alpn(sni: bool) -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect(sni="localhost" if sni else "127.0.0.1")  # an address sends no SNI
        answer = await agent.auth()
        assert answer["Error"] == ""
        assert agent.live.tls_version in {"TLSv1.2", "TLSv1.3"}
        await agent.leave()


async def test_old_tls_is_refused() -> None:
    async with running_worker() as service:
        context = ssl.create_default_context(cadata=service.certs.ca.decode())
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(
                "127.0.0.1", service.agent_port, ssl=context, server_hostname="localhost"
            )


async def test_who_does_not_authenticate_is_closed() -> None:
    async with running_worker(limits=Limits(auth_deadline=0.05)) as service:
        agent = service.agent()
        await agent.connect()
        await agent.gone()
        silent = await asyncio.open_connection("127.0.0.1", service.agent_port)
        assert await silent[0].read() == b""
        silent[1].close()


async def test_strangers_are_counted_and_agents_are_not() -> None:
    async with running_worker(limits=Limits(unauthenticated_per_address=2)) as service:
        admission = service.worker.gateway and service.worker.gateway.admission
        assert admission is not None
        agents = [service.agent() for _ in range(3)]
        await agents[0].connect()
        await agents[1].connect()
        with pytest.raises(PortwayError):
            await agents[2].connect()
        assert (await agents[0].auth())["Error"] == ""
        await agents[2].connect()
        assert admission.strangers == 2
        for agent in agents:
            await agent.leave()
    assert admission.strangers == 0


@pytest.mark.row("G-054")
async def test_a_revoked_credential_ends_its_sessions_and_frees_its_names() -> None:
    async with (
        running_worker() as service,
        service.connected() as doomed,
        service.connected("good2") as other,
    ):
        bound = await doomed.bind()
        await other.bind()
        service.control.revoke(Revoked(credential_id=GRANT.credential_id))
        kind, message = await doomed.request()
        assert kind == StreamType.STOP_TUNNEL
        assert message == {
            "Id": bound["Id"],
            "Message": "The authtoken of this agent was revoked.",
            "ErrorCode": "ERR_NGROK_300",
        }
        await service.settled()
        assert bound["URL"] not in service.control.names
        assert code(await doomed.bind()) == "300"
        await doomed.gone()
        assert not other.closed.is_set()
        assert len(service.worker.registry) == 1
        stopped = await service.events.next(AgentSessionStopped)
        assert "revoked" in stopped.error


async def test_a_revoked_account_ends_all_its_sessions() -> None:
    async with (
        running_worker() as service,
        service.connected() as one,
        service.connected("good2") as two,
        service.connected("other") as other,
    ):
        service.control.revoke(Revoked(account_id=GRANT.account_id))
        await one.gone()
        await two.gone()
        assert not other.closed.is_set()


@pytest.mark.row("S22", "S21")
async def test_the_same_agent_replaces_its_old_connection() -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind("https", {"URL": ""})
        old = agent.live
        answer = await agent.reconnect()
        assert answer["ClientId"] == agent.client_id
        again = await agent.rebind("https", bound)
        assert again["Error"] == ""
        assert (again["Id"], again["URL"]) == (bound["Id"], bound["URL"])
        await old.wait_closed()
        assert len(service.worker.gateway.legs if service.worker.gateway else ()) == 1
        [endpoint] = service.worker.registry.all()
        assert endpoint.id == bound["Id"]


@pytest.mark.row("S21")
async def test_legs_of_one_agent_live_side_by_side() -> None:
    async with running_worker() as service, service.connected() as first:
        bound = await first.bind()
        second = service.agent()
        await second.connect()
        answer = await second.auth(client_id=first.client_id, cookie=first.cookie, LegNumber=1)
        assert answer["ClientId"] == first.client_id
        assert (await second.rebind("tcp", bound))["Error"] == ""
        [endpoint] = service.worker.registry.all()
        assert len(endpoint.pool) == 2
        await first.vanish()
        await service.events.next(EndpointOffline)
        assert len(endpoint.pool) == 1
        assert (await second.call(StreamType.UNBIND, {"Id": bound["Id"]}))["Error"] == ""
        assert len(service.worker.registry) == 0
        await second.leave()


@pytest.mark.row("S30")
async def test_a_restart_keeps_sessions_and_names() -> None:
    control, config = FakeControl(), settings()
    async with running_worker(control, config=config) as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        https = await agent.bind("https", {"URL": ""})
        tcp = await agent.bind("tcp", {"URL": ""})
    await agent.gone()
    assert set(control.names) == {https["URL"], tcp["URL"]}
    async with running_worker(control, config=config) as service:
        async with service.connected("other") as thief:
            assert code(await thief.bind("tcp", {"URL": tcp["URL"]})) == "307"
            host = https["URL"].removeprefix("https://").partition(":")[0]
            assert code(await thief.bind("https", {"URL": f"https://{host}"})) == "320"
        agent.port = service.agent_port
        answer = await agent.reconnect()
        assert answer["ClientId"] == agent.client_id
        assert (await agent.rebind("tcp", tcp))["URL"] == tcp["URL"]
        again = await agent.rebind("https", {**https, "Opts": {"URL": f"https://{host}"}})
        assert again["Error"] == ""
        assert again["Id"] == https["Id"]
        await agent.leave()


async def test_stop_says_goodbye() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
    await agent.gone()
    assert "the service is shutting down" in str(agent.cause)
