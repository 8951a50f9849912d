"""From events to log lines and to the numbers of the screen."""

import io
import json
import logging
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from portway import AgentSession
from portway.agent import events
from portway.agent.reconnect import LOST
from portway.cli.output import LogLines
from portway.cli.status import Status
from portway.cli.watch import Watcher, one_line
from portway.errors import ConnectError, Error

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ENDPOINT = cast("Any", None)
AGENT = cast("Any", None)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def watcher(out: io.StringIO) -> Watcher:
    return Watcher(Status(version="1"), LogLines(out, "json", "debug", lambda: AT), clock=lambda: 100.0)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def session(warning: str = "", banner: str = "") -> AgentSession:
    return AgentSession(
        agent=AGENT,
        id="ts_1",
        started_at=AT,
        warnings=(Error(warning),) if warning else (),
        region="eu",
        account_name="demo",
        plan_name="Free",
        banner=banner,
        server_version="portway/1",
    )


def test_a_session_comes_goes_and_returns(watcher: Watcher, out: io.StringIO) -> None:
    status = watcher.status
    watcher(
        events.AgentConnectSucceeded(timestamp=AT, agent=AGENT, session=session("update soon", "hello\n"))
    )
    assert (status.session, status.account, status.plan, status.region) == ("online", "demo", "Free", "eu")
    assert status.messages == ["hello", "update soon"]
    watcher(events.AgentHeartbeatReceived(timestamp=AT, agent=AGENT, session=session(), latency=0.0123))
    assert status.latency == 0.0123
    watcher(
        events.AgentDisconnected(
            timestamp=AT, agent=AGENT, session=session(), error=ConnectError("tcp", "gone")
        )
    )
    assert (status.session, status.problem, status.latency) == ("reconnecting", "gone", None)
    watcher(events.AgentConnectSucceeded(timestamp=AT, agent=AGENT, session=session()))
    assert [line["msg"] for line in lines(out)] == [
        "session established",
        "heartbeat",
        "session lost",
        "session re-established",
    ]


def test_before_the_first_session_it_cannot_connect(watcher: Watcher, out: io.StringIO) -> None:
    watcher(
        events.AgentDisconnected(timestamp=AT, agent=AGENT, session=None, error=Error("Unknown token.", 107))
    )
    assert lines(out)[0]["msg"] == "cannot connect"
    assert lines(out)[0]["err"] == "Unknown token. ERR_NGROK_107"


def test_the_end_that_was_asked_for_is_no_loss(watcher: Watcher, out: io.StringIO) -> None:
    watcher.stopping = True
    watcher(events.AgentDisconnected(timestamp=AT, agent=AGENT, session=session(), error=Exception("closed")))
    watcher(events.AgentDisconnected(timestamp=AT, agent=AGENT, session=session(), error=None))
    watcher.ended()
    assert [line["msg"] for line in lines(out)] == ["stopped"]


def test_connections_and_requests_are_counted(watcher: Watcher, out: io.StringIO) -> None:
    watcher(events.ConnectionOpened(timestamp=AT, endpoint=ENDPOINT, remote_addr="192.0.2.1:99"))
    watcher(
        events.HTTPRequestComplete(
            timestamp=AT, endpoint=ENDPOINT, method="GET", path="/x?y", status_code=404, duration=0.25
        )
    )
    watcher(
        events.ConnectionClosed(
            timestamp=AT,
            endpoint=ENDPOINT,
            remote_addr="192.0.2.1:99",
            duration=1.5,
            bytes_in=10,
            bytes_out=20,
        )
    )
    assert (watcher.status.opened, watcher.status.open_now, watcher.status.percentile(0.5)) == (1, 0, 1.5)
    request = watcher.status.requests[0]
    assert (request.method, request.path, request.status, request.at[-4:]) == ("GET", "/x?y", 404, ".678")
    assert [line["msg"] for line in lines(out)] == ["join connections", "request", "connection closed"]
    assert lines(out)[2]["bytes_out"] == 20


def test_a_started_endpoint_is_shown_and_told(watcher: Watcher, out: io.StringIO) -> None:
    watcher.started("", "http://localhost:80", "https://a.example")
    assert watcher.status.forwarding == [("https://a.example", "http://localhost:80")]
    assert lines(out)[0]["name"] == "command_line"


def test_records_of_the_library_become_lines(watcher: Watcher, out: io.StringIO) -> None:
    logger = logging.getLogger("portway.agent")
    with watcher.taking_records():
        logger.warning("cannot reach %s", "upstream")
        logger.warning(LOST, "which came as an event")
        logger.error("it failed", exc_info=Error("No.", 324))
    logger.warning("not for us")
    assert [(line["lvl"], line["msg"]) for line in lines(out)] == [
        ("warn", "cannot reach upstream"),
        ("error", "it failed: No. ERR_NGROK_324"),
    ]


def test_errors_take_one_line() -> None:
    assert one_line(Error("First.\nSecond.", 107)) == "First. Second. ERR_NGROK_107"
    assert one_line(OSError("a\nb")) == "a b"
