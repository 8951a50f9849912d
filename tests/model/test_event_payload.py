"""The JSON of exported events."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from portway.model import event_payload
from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    Deprecated,
    HttpRequestComplete,
    TcpConnectionClosed,
)
from portway.model.event_types import HTTP, HTTP_FIELDS, TCP_FIELDS

REQUEST = HttpRequestComplete(
    account_id="ac_1",
    client_ip="192.0.2.1",
    server_ip="192.0.2.2",
    server_port=443,
    start_ts=1_800_000_000.25,
    end_ts=1_800_000_001.5,
    scheme="https",
    host="a.example",
    method="GET",
    target="/x?y=1&y=2",
    version="HTTP/2.0",
    status=200,
    request_length=3,
    response_length=5,
    request_headers=(("user-agent", "Curl/8"), ("X-ID", "A"), ("x-id", "B")),
    traffic_policy_logs=({"metadata": {"a": 1}},),
)
CONNECTION = TcpConnectionClosed(
    client_ip="192.0.2.1", start_ts=1_800_000_000.0, end_ts=1_800_000_001.5, bytes_in=3, bytes_out=5,
    server_name="tcp.example", server_port=20000,
)  # fmt: skip


def leaves(value: Any, prefix: str = "") -> list[str]:
    """Return the dotted paths of a payload's leaves; what has keys of its own choosing is one."""
    if not isinstance(value, dict) or prefix.endswith("headers"):
        return [prefix]
    inside = cast("dict[str, Any]", value)
    return [path for key in inside for path in leaves(inside[key], f"{prefix}.{key}" if prefix else key)]


@pytest.mark.row("EV-03")
def test_payloads_have_exactly_the_documented_fields() -> None:
    assert sorted(leaves(event_payload.traffic(REQUEST))) == list(HTTP_FIELDS)
    assert sorted(leaves(event_payload.traffic(CONNECTION))) == list(TCP_FIELDS)


@pytest.mark.row("EV-03")
def test_a_request() -> None:
    found = event_payload.traffic(REQUEST)
    assert found["http"]["request"]["url"] == {
        "raw": "https://a.example/x?y=1&y=2",
        "scheme": "https",
        "host": "a.example",
        "path": "/x",
        "query": "y=1&y=2",
    }
    assert found["http"]["request"]["headers"] == {"User-Agent": ["curl/8"], "X-Id": ["a", "b"]}
    assert found["http"]["request"]["first_byte_ts"] == "2027-01-15T08:00:00.250000Z"
    assert found["http"]["response"]["last_byte_ts"] == "2027-01-15T08:00:01.500000Z"
    assert found["http"]["response"]["body_length"] == 5
    assert found["traffic_policy"]["logs"] == [{"metadata": {"a": 1}}]


@pytest.mark.row("EV-08")
def test_chosen_leaves_are_nested_as_in_the_whole() -> None:
    whole = event_payload.traffic(REQUEST)
    fields = ("http.request.url.host", "http.response.status_code", "conn.client_ip", "http.request.headers")
    assert event_payload.traffic(REQUEST, fields) == {
        "http": {
            "request": {
                "url": {"host": "a.example"},
                "headers": {"User-Agent": ["curl/8"], "X-Id": ["a", "b"]},
            },
            "response": {"status_code": 200},
        },
        "conn": {"client_ip": "192.0.2.1"},
    }
    assert event_payload.traffic(REQUEST, HTTP_FIELDS) == whole


@given(st.floats(0.000_001, 4e9))
def test_times_have_the_fractions_that_a_datetime_has(seconds: float) -> None:
    said = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert event_payload.moment(seconds) == said


@pytest.mark.row("EV-03")
def test_the_envelope_of_traffic_has_no_principal() -> None:
    assert event_payload.envelope("ev_1", HTTP, 1_800_000_000.9, "ac_1", {}) == {
        "event_id": "ev_1",
        "event_type": "http_request_complete.v0",
        "event_timestamp": "2027-01-15T08:00:00Z",
        "account_id": "ac_1",
        "principal": None,
        "object": {},
    }


def test_a_target_without_path() -> None:
    found = event_payload.traffic(HttpRequestComplete(
        client_ip="", start_ts=1.0, end_ts=2.0, scheme="http", host="h", method="OPTIONS", target="*",
        status=0,
    ))  # fmt: skip
    assert found["http"]["request"]["url"]["raw"] == "*"


@pytest.mark.row("EV-09")
def test_sessions() -> None:
    start = AgentSessionStarted(
        session_id="ts_1", credential_id="cr_1", agent_ip="192.0.2.1", started_at=1.8e9
    )
    found = event_payload.session(start, "http://api")
    assert found["session"] == {"id": "ts_1", "uri": "http://api/tunnel_sessions/ts_1"}
    assert found["credential"]["uri"] == "http://api/credentials/cr_1"
    assert (found["error"], found["stopped_at"], found["started_at"]) == ("", None, "2027-01-15T08:00:00Z")
    assert set(found["deprecated"].values()) == {None}
    old = replace(start, deprecated=Deprecated(upcoming="2", day="2027-01-31T00:00:00Z", message="too old"))
    assert event_payload.session(old, "http://api")["deprecated"] == {
        "upcoming_minimum_version": "2",
        "upcoming_enforcement_date": "2027-01-31T00:00:00Z",
        "message": "too old",
    }
    stop = AgentSessionStopped(
        session_id="ts_1", credential_id="sshcr_1", started_at=1.8e9, stopped_at=1.8e9 + 1, error="revoked"
    )
    found = event_payload.session(stop, "http://api")
    assert found["credential"]["uri"] == "http://api/ssh_credentials/sshcr_1"
    assert (found["error"], found["stopped_at"]) == ("revoked", "2027-01-15T08:00:01Z")
