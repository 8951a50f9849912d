"""The kinds of event."""

from datetime import UTC, datetime

import pytest

from portway import AgentDisconnected, Event, EventType
from portway.agent import events
from portway.agent.agent import Agent


@pytest.mark.row("G-151", "G-152")
def test_names_and_values() -> None:
    assert [(int(kind), str(kind)) for kind in EventType] == [
        (0, "AgentConnectSucceeded"),
        (1, "AgentDisconnected"),
        (2, "AgentHeartbeatReceived"),
        (3, "ConnectionOpened"),
        (4, "ConnectionClosed"),
        (5, "HTTPRequestComplete"),
    ]


@pytest.mark.row("G-150")
def test_each_class_has_its_kind() -> None:
    for kind in EventType:
        assert getattr(events, str(kind)).event_type is kind


@pytest.mark.row("G-159")
def test_they_can_be_told_apart() -> None:
    event: Event = AgentDisconnected(
        timestamp=datetime.now(UTC), agent=Agent(), session=None, error=ValueError("why")
    )
    match event:
        case AgentDisconnected(error=ValueError()):
            seen = "right"
        case _:
            seen = "wrong"
    assert seen == "right"
