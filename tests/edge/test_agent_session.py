"""One agent's connection over real sockets: Auth in every wrong way, and what its end means."""

import asyncio
import json
from typing import Any

import pytest
from tests.kit.agent import code
from tests.kit.service import GRANT, running_worker, settings

from portway.edge.ports import Limits
from portway.errors import Error
from portway.model.agent_version import read_demands
from portway.model.entities import Grant
from portway.model.event import AgentSessionStarted, AgentSessionStopped
from portway.model.plan import Plan
from portway.session import StreamType


@pytest.mark.row("S18", "S27")
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


@pytest.mark.row("G-054")
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


@pytest.mark.parametrize(
    ("extra", "refused"),
    [
        ({"Metadata": "m" * 4097}, "100"),
        ({"HeartbeatInterval": 1_000}, "111"),
        ({"HeartbeatTolerance": 1_000}, "112"),
        ({"HeartbeatTolerance": -1}, "112"),
        ({"LegNumber": 99}, "9024"),
        ({"UserAgent": "app/1 (open portway/1"}, "124"),
        ({"UserAgent": "app/1 )( portway/1"}, "124"),
        ({"UserAgent": "x" * 1025}, "124"),
        ({"UserAgent": "app/1\nportway/1"}, "124"),
    ],
)
async def test_auth_is_judged(extra: dict[str, Any], refused: str) -> None:
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


@pytest.mark.row("S19")
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
        await agent.leave()


async def test_patience_with_wrong_tokens_ends() -> None:
    delay = 0.3
    async with running_worker(limits=Limits(wrong_tokens=2, wrong_token_delay=delay)) as service:
        loop = asyncio.get_running_loop()
        for tried in range(3):
            agent = service.agent(token="unknown")
            await agent.connect()
            begun = loop.time()
            assert code(await agent.auth()) == "107"
            assert tried < 2 or loop.time() - begun >= delay - 0.01  # the loop counts milliseconds
            await agent.leave()


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


@pytest.mark.row("K-24")
async def test_a_plan_bounds_the_agents_that_are_connected_at_once() -> None:
    config = settings(plans={"free": Plan(agents=1)})
    async with running_worker(config=config) as service, service.connected() as agent:
        more = service.agent(token="good2")
        await more.connect()
        assert code(await more.auth()) == "108"
        await more.gone()
        refused = service.events.of(AgentSessionStarted)[-1]
        assert (refused.account_id, refused.credential_id) == ("ac_good", "cr_good2")
        assert "plan allows (1)" in refused.error
        leg = service.agent()
        await leg.connect()
        answer = await leg.auth(client_id=agent.client_id, cookie=agent.cookie, LegNumber=1)
        assert answer["Error"] == ""
        async with service.connected("other"):  # another account, with as much room of its own
            assert not agent.closed.is_set()
        assert (await agent.reconnect())["Error"] == ""
        await leg.leave()
        await agent.leave()
        await service.offline(4)
        async with service.connected("good2"):
            pass


@pytest.mark.row("K-24")
async def test_agents_that_are_too_old_are_refused_and_those_that_will_be_are_warned() -> None:
    demands = read_demands("portway=0.2,portway=0.4@2999-01-31,ngrok-python=9@later")
    config = settings(min_agent_version=demands)
    async with running_worker(config=config) as service:
        for user_agent, refused in (
            ("shop/7 portway/0.1.9", "121"),
            ("portway/odd", "119"),
            ("portway/0.4.0 (x)", ""),
            ("ngrok-go/2.1.1", ""),
            ("", ""),
        ):
            agent = service.agent()
            await agent.connect()
            answer = await agent.auth(UserAgent=user_agent)
            assert (code(answer) if answer["Error"] else "") == refused, user_agent
            if refused:
                await agent.gone()
                told = service.events.of(AgentSessionStarted)[-1]
                assert (told.account_id, told.credential_id) == ("ac_good", "cr_good")
                assert "0.2" in told.error
            else:
                assert answer["Extra"]["DeprecationWarning"] is None
                await agent.leave()
        for user_agent, version, day in (
            ("portway/0.3", "0.4", "2999-01-31T00:00:00Z"),
            ("ngrok-python/1.4.0 ngrok-rust/0.15", "9", "0001-01-01T00:00:00Z"),
        ):
            agent = service.agent()
            await agent.connect()
            answer = await agent.auth(UserAgent=user_agent)
            warning = answer["Extra"]["DeprecationWarning"]
            assert (warning["NextMin"], warning["NextDate"]) == (version, day)
            noted = service.events.of(AgentSessionStarted)[-1].deprecated
            assert noted is not None
            assert (noted.upcoming, noted.message) == (version, warning["Msg"])
            assert noted.day == ("" if day.startswith("0001") else day)
            await agent.leave()


async def test_sessions_are_told() -> None:
    async with running_worker() as service:
        async with service.connected() as agent:
            await agent.bind()
        stopped = await service.events.next(AgentSessionStopped)
        started = service.events.of(AgentSessionStarted)[0]
        assert started.session_id == stopped.session_id
        assert started.account_id == GRANT.account_id
        assert started.credential_id == GRANT.credential_id
        assert started.agent_ip == started.ingress_server_ip == started.ingress_hostname == "127.0.0.1"
        assert stopped.ingress_hostname == "127.0.0.1"
        assert stopped.error == ""
        assert stopped.stopped_at >= stopped.started_at


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
        assert service.worker.gateway is not None
        assert service.worker.gateway.legs == {}
