"""Filters of event sources."""

import pytest

from portway.errors import Error
from portway.model.event_types import HTTP, HTTP_FIELDS, TCP
from portway.policy.event_filter import check_filter, compile_filter
from portway.policy.expression import EvaluationError

EVENT = {
    "conn": {"client_ip": "192.0.2.1", "server_port": 443, "server_name": "a.example"},
    "http": {"request": {"url": {"host": "shop.example"}, "headers": {"User-Agent": ["curl/8"]}}},
}


@pytest.mark.row("EV-07")
@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("ev.http.request.url.host.matches('^shop[.]')", True),
        ("ev.conn.server_port == 443 && ev.conn.client_ip != '192.0.2.9'", True),
        ("ev.conn.client_ip != '192.0.2.1'", False),
        (
            "'User-Agent' in ev.http.request.headers && ev.http.request.headers['User-Agent'][0] == 'curl/8'",
            True,
        ),
        ("has(ev.conn.server_name)", True),
        ("true", True),
    ],
)
def test_examples(source: str, holds: bool) -> None:
    assert compile_filter(source, HTTP).holds(EVENT) is holds


@pytest.mark.row("EV-07")
@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("ev.conn.client_ip ==", 5404),
        ("ev.conn.server_port", 0),
        ("1 + 1", 5404),
        ("event.x == 1", 5404),
        ("'" + "a" * 5000 + "' == ''", 5404),
        ("(" * 40 + "true" + ")" * 40, 5404),
        ("ev.conn.bytes_in > 1", 5406),
        ("ev.principal == null", 5406),
        ("ev.conn.client_ip.more == ''", 5406),
    ],
)
def test_refusals(source: str, code: int) -> None:
    if not code:
        compile_filter(source, HTTP)  # what it is shows only when it runs
        return
    with pytest.raises(Error) as caught:
        compile_filter(source, HTTP)
    assert caught.value.code == f"ERR_NGROK_{code}"


def test_every_field_may_be_named() -> None:
    for field in HTTP_FIELDS:
        compile_filter(f"ev.{field} == ev.{field}", HTTP)
    compile_filter("ev.conn.bytes_in > 1000", TCP)


def test_what_is_no_condition_or_too_large_fails_when_it_runs() -> None:
    with pytest.raises(EvaluationError):
        compile_filter("ev.conn.server_port", HTTP).holds(EVENT)
    with pytest.raises(EvaluationError):
        compile_filter("ev.conn.client_ip == ''", HTTP).holds({"conn": {"client_ip": "x" * 200_000}})
    with pytest.raises(EvaluationError):
        compile_filter("ev.tls.version == ''", HTTP).holds(EVENT)


NESTED = "[1,2,3,4,5,6,7,8,9,10].all(x, "


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("ev.conn.client_ip == '' || ev.http.response.status_code >= 500", False),
        ("ev.http.request.headers['User-Agent'][0] == 'curl/8'", False),
        ("int(ev.http.request.url.query) > 1 && ev.traffic_policy.logs[0].metadata.x == 1", False),
        ("ev.conn.server_port", True),
        ("ev.conn.server_port > '443'", True),
        ("ev.conn.client_ip.matches('[')", True),
        (NESTED * 6 + "ev.conn.server_port == 0" + ")" * 6, True),
    ],
)
def test_what_would_fail_for_every_event_is_refused(source: str, refused: bool) -> None:
    if not refused:
        check_filter(source, HTTP)
        return
    with pytest.raises(Error) as caught:
        check_filter(source, HTTP)
    assert caught.value.code == "ERR_NGROK_5404"
