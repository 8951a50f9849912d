"""The session as an application sees it."""

from datetime import UTC, datetime

import pytest

from portway import Agent
from portway.agent.info import deprecation_text, session_info
from portway.wire.messages import AuthResp, AuthRespExtra, Deprecation


@pytest.mark.row("G-070", "G-072", "G-073")
def test_what_the_service_said() -> None:
    agent, now = Agent(), datetime.now(UTC)
    extra = AuthRespExtra(
        agent_session_id="ts_1", region="eu", account_name="acme", plan_name="free", banner="hi", version="9"
    )
    session = session_info(agent, AuthResp(extra=extra), now)
    assert (session.id, session.region, session.account_name) == ("ts_1", "eu", "acme")
    assert (session.plan_name, session.banner, session.server_version) == ("free", "hi", "9")
    assert session.agent is agent
    assert session.started_at is now
    assert session.warnings == ()
    assert session.latency is None
    assert repr(session) == "<AgentSession ts_1 region='eu' latency=->"
    session.latency = 0.0123
    assert "12.3 ms" in repr(session)


@pytest.mark.row("G-071")
@pytest.mark.parametrize(
    ("next_min", "next_date", "expected"),
    [
        ("", "", "Your agent is deprecated. Please update at your earliest convenience."),
        ("4.0", "", "Your agent is deprecated. Please update to 4.0 or later at your earliest convenience."),
        ("", "2030-01-02T03:04:05Z", "Your agent is deprecated. Please update by 2030-01-02."),
        (
            "4.0",
            "0001-01-01T00:00:00Z",
            "Your agent is deprecated. Please update to 4.0 or later at your earliest convenience.",
        ),
    ],
)
def test_a_deprecation_as_a_sentence(next_min: str, next_date: str, expected: str) -> None:
    assert deprecation_text(Deprecation(next_min=next_min, next_date=next_date)) == expected
