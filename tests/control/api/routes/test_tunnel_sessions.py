"""/tunnel_sessions over HTTP."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.kit.api import Api, running_api
from tests.kit.live import FakeAgents, an_id, live_session, tell

from portway.model.live import LiveSession

PLACE = "/tunnel_sessions"
PYTHON = {"user-agent": "ngrok-api-python/0.0.0/3.11.7"}


@asynccontextmanager
async def one_session(folder: Path, agents: FakeAgents) -> AsyncGenerator[tuple[Api, LiveSession]]:
    """Run an API whose caller has one agent connected."""
    async with running_api(folder, agents=agents) as api:
        session = live_session(api.account_id, description="ours", credential_id="cr_7")
        tell(api.context, session)
        yield api, session


@pytest.mark.row("G-053", "G-070", "G-181")
async def test_a_session_as_it_is_shown(tmp_path: Path) -> None:
    async with one_session(tmp_path, FakeAgents()) as (api, session):
        base = api.context.settings.api_url
        shown = {
            "id": session.id, "uri": f"{base}{PLACE}/{session.id}", "agent_version": "3.1.4",
            "credential": {"id": "cr_7", "uri": f"{base}/credentials/cr_7"}, "description": "ours",
            "ip": "203.0.113.9", "metadata": "m", "os": "linux", "region": "local",
            "started_at": "2027-01-15T08:00:00Z", "transport": "ngrok/v2",
        }  # fmt: skip
        assert (await api.get(f"{PLACE}/{session.id}")).json == shown
        assert (await api.get(PLACE)).json == {
            "tunnel_sessions": [shown], "uri": f"{base}{PLACE}", "next_page_uri": None,
        }  # fmt: skip


async def test_a_command_is_answered_as_each_client_needs_it(tmp_path: Path) -> None:
    agents = FakeAgents()
    bodies: list[object] = [None, {}]
    async with one_session(tmp_path, agents) as (api, session):
        for what in ("stop", "restart", "update"):
            for body in bodies:
                place = f"{PLACE}/{session.id}/{what}"
                plain = await api.send("POST", place, body)
                assert (plain.status, plain.body) == (204, b"")
                python = await api.send("POST", place, body, PYTHON)
                assert (python.status, python.json) == (200, {})
                assert agents.told == [(session.id, what, "")] * 2
                agents.told.clear()


async def test_a_version_belongs_to_update_alone(tmp_path: Path) -> None:
    agents = FakeAgents()
    async with one_session(tmp_path, agents) as (api, session):
        place = f"{PLACE}/{session.id}"
        assert (await api.post(f"{place}/update", {"version": "3.9"})).status == 204
        assert agents.told == [(session.id, "update", "3.9")]
        assert (await api.post(f"{place}/update", {"version": 3})).code == 215
        assert (await api.post(f"{place}/stop", {"version": "3.9"})).code == 214
        assert (await api.post(f"{place}/dance")).status == 404
        assert len(agents.told) == 1


@pytest.mark.row("G-175", "G-176")
async def test_what_the_agent_refuses_is_told_with_its_code(tmp_path: Path) -> None:
    agents = FakeAgents()
    async with one_session(tmp_path, agents) as (api, session):
        for agents.code in (804, 807, 810):
            answer = await api.post(f"{PLACE}/{session.id}/restart")
            assert (answer.status, answer.code, answer["msg"]) == (400, agents.code, "The agent refuses.")


async def test_a_foreign_session_is_answered_as_an_absent_one(tmp_path: Path) -> None:
    agents = FakeAgents()
    async with one_session(tmp_path, agents) as (api, session):
        other = await api.other_account()
        for verb, rest in (("GET", ""), ("POST", "/stop"), ("POST", "/restart"), ("POST", "/update")):
            foreign = await other.send(verb, f"{PLACE}/{session.id}{rest}")
            never = await other.send(verb, f"{PLACE}/{an_id('ts', 99)}{rest}")
            assert foreign.status == 404
            assert foreign.without_operation() == never.without_operation()
        assert (await other.get(PLACE))["tunnel_sessions"] == []
        assert agents.told == []
        assert (await api.get(f"{PLACE}/ep_{'x' * 27}")).code == 227


async def test_filters(tmp_path: Path) -> None:
    async with one_session(tmp_path, FakeAgents()) as (api, _):
        for text, found in (
            ('obj.os == "linux"', 1), ('obj.ip == "203.0.113.9"', 1), ('obj.region != "local"', 0),
            ('obj.agent_version == "3.1.4"', 1), ('obj.credential.id == "cr_7"', 1),
            ('obj.metadata.contains("m")', 1), ('obj.started_at > timestamp("2020-01-01T00:00:00Z")', 1),
        ):  # fmt: skip
            answer = await api.get(f"{PLACE}?filter={quote(text)}")
            assert len(answer["tunnel_sessions"]) == found, text
        assert (await api.get(f"{PLACE}?filter={quote('obj.description == null')}")).code == 250
