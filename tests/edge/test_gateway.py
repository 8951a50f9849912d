"""The gateway over real sockets: Auth in every wrong way, sessions replaced, revoked, counted."""

import asyncio
import json
import ssl
import warnings

import pytest
from tests.kit.service import GRANT, FakeControl, Running, running_worker, settings

from portway.edge.ports import Grant, Limits, Revoked
from portway.errors import Error, PortwayError
from portway.model.event import AgentSessionStarted, AgentSessionStopped, EndpointOffline
from portway.session import StreamType


def code(answer: dict[str, object]) -> str:
    """Return the code of a refusal, which stands alone on a line."""
    text = str(answer["Error"])
    alone = [line for line in text.splitlines() if line.startswith("ERR_NGROK_")]
    assert len(alone) == 1, text
    assert Error.parse(text).code == alone[0]
    return alone[0].removeprefix("ERR_NGROK_")


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


@pytest.mark.row("S18", "S27", "G-070")
async def test_the_answer_to_auth_is_complete() -> None:
    async with running_worker() as service, service.connected() as agent:
        answer = await agent.reconnect()
        assert set(answer) == {"Version", "ClientId", "Error", "Extra"}
        assert answer["Version"] == "3"
        assert answer["Error"] == ""
        extra = answer["Extra"]
        assert set(extra) == {
            "Version", "Region", "Cookie", "AccountName", "SessionDuration", "PlanName", "Banner",
            "DeprecationWarning", "ConnectAddresses", "AgentSessionID",
        }  # fmt: skip
        assert extra["AgentSessionID"].startswith("ts_")
        assert (extra["Region"], extra["AccountName"], extra["PlanName"]) == ("test", "Good Account", "free")
        assert extra["ConnectAddresses"] == [
            {"Region": "test", "ServerAddr": f"127.0.0.1:{service.agent_port}"}
        ]


@pytest.mark.row("S16", "S18")
async def test_requests_in_either_dialect() -> None:
    async with running_worker() as service:
        for token in ({"Authtoken": "good"}, {"AuthToken": "good", "OS": None, "Unknown": [1]}):
            agent = service.agent()
            await agent.connect()
            body = json.dumps({"Version": ["2"], "ClientId": None, "Extra": token}).encode() + b" \n"
            answer = await agent.call(StreamType.AUTH, body)
            assert (answer["Version"], answer["Error"]) == ("2", "")
            await agent.leave()


@pytest.mark.row("G-054", "G-008")
@pytest.mark.parametrize(("token", "refused"), [("", "4018"), ("not a token", "105"), ("unknown", "107")])
async def test_wrong_tokens_are_told_apart_and_the_session_is_closed(token: str, refused: str) -> None:
    async with running_worker() as service:
        agent = service.agent(token=token)
        await agent.connect()
        assert code(await agent.auth()) == refused
        await agent.gone()
        started = service.events.of(AgentSessionStarted)
        assert [event.error != "" for event in started] == [True]
        assert service.events.of(AgentSessionStopped) == []


@pytest.mark.row("G-053", "G-059", "G-060")
@pytest.mark.parametrize(
    ("extra", "refused"),
    [
        ({"Metadata": "m" * 4097}, "100"),
        ({"HeartbeatInterval": 1_000}, "111"),
        ({"HeartbeatTolerance": 1_000}, "112"),
        ({"HeartbeatTolerance": -1}, "112"),
        ({"LegNumber": 99}, "9024"),
    ],
)
async def test_auth_is_judged(extra: dict[str, object], refused: str) -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        assert code(await agent.auth(**extra)) == refused
        assert service.control.asked == []
        await agent.leave()


async def test_auth_that_cannot_be_read() -> None:
    async with running_worker() as service:
        for body, refused in (
            (b'{"Version":["3"],"Extra":{"Metadata":7}}', "109"),
            (b'{"Version":["1"],"Extra":{}}', "811"),
        ):
            agent = service.agent()
            await agent.connect()
            assert code(await agent.call(StreamType.AUTH, body)) == refused
            await agent.leave()


@pytest.mark.row("S19", "G-143")
async def test_before_auth_only_srvinfo_is_answered() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        assert await agent.call(StreamType.SRV_INFO, {}) == {"Region": "test"}
        for kind in (StreamType.BIND, StreamType.UNBIND, StreamType.BIND_LABELS, StreamType.PATCH):
            assert (await agent.call(kind, {}))["Error"]
        assert len(service.worker.registry) == 0
        assert (await agent.auth())["Error"] == ""
        assert await agent.call(StreamType.SRV_INFO, {}) == {"Region": "test"}
        assert (await agent.auth())["Error"]  # once is enough
        assert code(await agent.call(StreamType.BIND_LABELS, {"Labels": {"a": "b"}})) == "358"
        await agent.leave()


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


async def test_patience_with_wrong_tokens_ends() -> None:
    limits = Limits(wrong_tokens=2, wrong_token_delay=0.2)
    async with running_worker(limits=limits) as service:
        loop = asyncio.get_running_loop()
        took: list[float] = []
        for _ in range(3):
            agent = service.agent(token="unknown")
            await agent.connect()
            begun = loop.time()
            assert code(await agent.auth()) == "107"
            took.append(loop.time() - begun)
            await agent.leave()
        assert took[0] < 0.2
        assert took[1] < 0.2
        assert took[2] >= 0.2


@pytest.mark.row("S31")
async def test_auth_waits_for_a_control_plane_that_is_starting() -> None:
    async with running_worker() as service:
        answer, tries = service.control.authenticate, iter(range(3))

        async def starting(token: str, source: str) -> Grant:
            for _ in tries:
                raise Error("Try again in a moment.", 128)
            return await answer(token, source)

        service.control.authenticate = starting  # type: ignore[method-assign]
        async with service.connected() as agent:
            assert agent.client_id


async def test_auth_is_refused_when_the_control_plane_stays_away() -> None:
    async with running_worker(limits=Limits(control_patience=0)) as service:

        async def away(token: str, source: str) -> Grant:
            raise Error("Try again in a moment.", 128)

        service.control.authenticate = away  # type: ignore[method-assign]
        agent = service.agent()
        await agent.connect()
        assert code(await agent.auth()) == "128"
        await agent.leave()


@pytest.mark.row("G-071", "G-072", "G-054")
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


async def test_an_unknown_client_or_a_bad_cookie_is_a_new_session() -> None:
    async with running_worker() as service, service.connected() as agent:
        for cookie in ("", "v1.00", agent.cookie[:-1]):
            other = service.agent()
            await other.connect()
            answer = await other.auth(client_id=agent.client_id, cookie=cookie)
            assert answer["Error"] == ""
            assert answer["ClientId"] != agent.client_id
            await other.leave()
        stolen = service.agent(token="other")
        await stolen.connect()
        answer = await stolen.auth(client_id=agent.client_id, cookie=agent.cookie)
        assert answer["ClientId"] != agent.client_id
        assert not agent.closed.is_set()
        await stolen.leave()


@pytest.mark.row("S30", "S31", "G-047")
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
            assert code(await thief.bind("tcp", {"URL": tcp["URL"]})) == "309"
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


async def test_sessions_are_told() -> None:
    async with running_worker() as service:
        async with service.connected() as agent:
            await agent.bind()
        stopped = await service.events.next(AgentSessionStopped)
        started = service.events.of(AgentSessionStarted)[0]
        assert started.session_id == stopped.session_id
        assert started.account_id == GRANT.account_id
        assert started.credential_id == GRANT.credential_id
        assert started.agent_ip == "127.0.0.1"
        assert stopped.error == ""
        assert stopped.stopped_at >= stopped.started_at


async def session_count(service: Running) -> int:
    gateway = service.worker.gateway
    assert gateway is not None
    return len(gateway.legs)


@pytest.mark.row("S9")
@pytest.mark.parametrize("polite", [True, False])
async def test_how_a_session_ends_decides_about_its_names(polite: bool) -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bound = await agent.bind()
        await (agent.leave() if polite else agent.vanish())
        await service.events.next(AgentSessionStopped)
        await service.settled()
        assert (bound["URL"] in service.control.names) is not polite
        assert await session_count(service) == 0
