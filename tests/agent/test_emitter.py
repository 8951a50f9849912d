"""Where happenings become events."""

import asyncio
import logging

import pytest

from portway import Agent, AgentDisconnected, Event
from portway.agent.emitter import Emitter


def test_whether_anybody_listens() -> None:
    handlers: list[object] = []
    emitter = Emitter(Agent(), handlers, logging.getLogger("test"))  # pyright: ignore[reportArgumentType]
    assert not emitter.heard
    handlers.append(print)
    assert emitter.heard


@pytest.mark.row("G-058", "G-150", "G-160")
def test_all_are_called_in_order_whatever_one_does(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def fail(event: Event) -> None:
        called.append("fail")
        raise KeyError("x")

    def cancel(event: Event) -> None:
        raise asyncio.CancelledError  # as the result of a cancelled future is

    def note(event: Event) -> None:
        assert isinstance(event, AgentDisconnected)
        called.append(f"note {event.error}")

    agent = Agent()
    emitter = Emitter(agent, [fail, cancel, note], logging.getLogger("test"))
    emitter.disconnected(None, None)
    emitter.disconnected(None, ValueError("why"))
    assert called == ["fail", "note None", "fail", "note why"]
    assert "event handler failed on AgentDisconnected" in caplog.text


@pytest.mark.row("G-150")
def test_time_never_goes_back() -> None:
    seen: list[Event] = []
    emitter = Emitter(Agent(), [seen.append], logging.getLogger("test"))
    for _ in range(100):
        emitter.disconnected(None, None)
    stamps = [event.timestamp for event in seen]
    assert stamps == sorted(stamps)
    assert all(stamp.tzinfo is not None for stamp in stamps)
