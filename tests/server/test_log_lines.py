"""How lines of the log look."""

import json
import logging
import sys
import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.model import event as events
from portway.server import log_lines

AT = 1_800_000_000.25

REQUEST = events.HttpRequestComplete(
    client_ip="127.0.0.1", start_ts=AT - 0.0125, end_ts=AT, scheme="https", host="a.portway.localhost",
    method="GET", target="/x?y=1", status=200, response_length=12, user_agent="curl/8 (x)",
)  # fmt: skip

EVERY = (
    REQUEST,
    events.TcpConnectionClosed(
        client_ip="127.0.0.1", start_ts=AT - 1, end_ts=AT, bytes_in=5, url="tcp://a:1"
    ),
    events.AgentSessionStarted(agent_ip="127.0.0.1", started_at=AT, session_id="ts_1"),
    events.AgentSessionStopped(session_id="ts_1", started_at=AT - 1, stopped_at=AT),
    events.EndpointOnline(endpoint_id="ep_1", url="https://a", proto="https", online_at=AT),
    events.EndpointUpdated(endpoint_id="ep_1", url="https://a", metadata="m", updated_at=AT),
    events.EndpointOffline(endpoint_id="ep_1", url="https://a", offline_at=AT, reason="closed"),
)


def test_every_event_has_a_line() -> None:
    assert {type(each) for each in EVERY} == set(typing.get_args(events.Event))
    for each in EVERY:
        at, fields = log_lines.event_fields(each)
        assert at == AT
        line = log_lines.make("json", colour=False).line(at, log_lines.level_of(each), each.line, fields)
        said = json.loads(line)
        assert said["time"] == "2027-01-15T08:00:00.250Z"
        assert said["event"] == each.line
        assert said["level"] == "info"
        assert all(value not in {"", 0} for value in said.values()), "empty fields are left out"


def test_a_request_as_json() -> None:
    at, fields = log_lines.event_fields(REQUEST)
    assert json.loads(log_lines.make("json", colour=False).line(at, "info", REQUEST.line, fields)) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "event": "http request",
        "method": "GET",
        "scheme": "https",
        "host": "a.portway.localhost",
        "target": "/x?y=1",
        "status": 200,
        "client_ip": "127.0.0.1",
        "response_length": 12,
        "user_agent": "curl/8 (x)",
        "version": "HTTP/1.1",
        "duration_ms": 12.5,
    }


def test_a_request_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    at, fields = log_lines.event_fields(REQUEST)
    line = log_lines.make("text", colour=False).line(at, "info", REQUEST.line, fields)
    assert line.partition(".")[2] == (
        "250 info     http request  method=GET scheme=https host=a.portway.localhost"
        ' target="/x?y=1" status=200 client_ip=127.0.0.1 response_length=12'
        ' user_agent="curl/8 (x)" version=HTTP/1.1 duration_ms=12.5'
    )


ODD = st.sampled_from(["", "a", "b c", "A1", 'x"y', "\x1b[2J", "ünï", "\u202e", "ep_1", "GET"])
NUMBER = st.sampled_from([0, 1, 200, 12_345])
DIAGNOSTICS = st.lists(
    st.builds(events.Diagnostic, rule=ODD, what=ODD, detail=ODD, code=NUMBER), max_size=2
).map(tuple)

COMMON = {
    "traffic_policy_diagnostics": DIAGNOSTICS,
    "account_id": ODD, "endpoint_id": ODD, "client_ip": ODD, "tls_version": ODD,
    "start_ts": st.just(AT), "end_ts": st.floats(AT, AT + 99),
}  # fmt: skip
REQUESTS = st.builds(
    events.HttpRequestComplete,
    scheme=ODD, host=ODD, method=ODD, target=ODD, version=ODD, user_agent=ODD, request_length=NUMBER,
    status=NUMBER, response_length=NUMBER, connection_reused=st.booleans(), error_code=ODD,
    aborted=st.booleans(), **COMMON,
)  # fmt: skip
CONNECTIONS = st.builds(
    events.TcpConnectionClosed,
    url=ODD, client_port=NUMBER, server_port=NUMBER, server_name=ODD, bytes_in=NUMBER, bytes_out=NUMBER,
    error=ODD, **COMMON,
)  # fmt: skip


@pytest.mark.parametrize(("form", "colour"), [("text", False), ("text", True), ("json", False)])
def test_the_quick_line_of_a_request_is_the_line_of_its_fields(form: str, *, colour: bool) -> None:
    made = log_lines.make(form, colour=colour)
    quick = log_lines.access_line(made)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(REQUESTS, CONNECTIONS), min_size=1, max_size=4))
    def same(some: list[events.HttpRequestComplete | events.TcpConnectionClosed]) -> None:
        for event in some:
            at, fields = log_lines.event_fields(event)
            assert quick(event) == made.line(at, "info", event.line, fields)

    same()


def test_colour_is_only_added() -> None:
    fields = {"a": "b c", "n": 1, "yes": True, "part": 0.5}
    import re

    plain = log_lines.make("text", colour=False).line(AT, "error", "name", fields)
    coloured = log_lines.make("text", colour=True).line(AT, "error", "name", fields)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert plain.endswith('name  a="b c" n=1 yes=yes part=0.5')


EVIL = "a\r\n2027-01-15 error forged\x1b[2J\x9b31m\u2028\u202ex\x00\x7f"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_visitor_cannot_forge_a_line(form: str) -> None:
    line = log_lines.make(form, colour=False).line(AT, "info", EVIL, {"user_agent": EVIL, "n": EVIL + '"\\'})
    assert line.isprintable()
    assert line.isascii() or form == "text"
    assert "forged" in line


def test_a_traceback_is_indented_and_escaped() -> None:
    record = logging.LogRecord("portway.x", logging.ERROR, "f", 1, "it failed", None, None)
    try:
        int(EVIL)
    except ValueError:
        record.exc_info = sys.exc_info()
    fields = log_lines.record_fields(record)
    assert fields["logger"] == "portway.x"
    text = log_lines.make("text", colour=False).line(AT, "error", "it failed", fields)
    first, *rest = text.split("\n")
    assert first.endswith("it failed  logger=portway.x")
    assert len(rest) > 3
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)
    assert (
        "ValueError"
        in json.loads(log_lines.make("json", colour=False).line(AT, "error", "e", fields))["traceback"]
    )


def test_a_refused_agent_is_a_warning() -> None:
    refused = events.AgentSessionStarted(agent_ip="127.0.0.1", started_at=AT, error="ERR_NGROK_107")
    assert log_lines.level_of(refused) == "warning"


def test_printable_leaves_good_text_alone() -> None:
    assert log_lines.printable("grüße 世界") == "grüße 世界"
    assert log_lines.printable("a\nb") == "a\\nb"


def test_what_json_cannot_say_is_shown() -> None:
    assert json.loads(log_lines.make("json", colour=False).line(AT, "info", "e", {"x": {1}}))["x"] == "{1}"
