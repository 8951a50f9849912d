"""What policies add to events: decisions, logs and diagnostics, on a real edge and by themselves."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.kit.policies import ruled

from portway.edge import policy_events
from portway.edge.policy_events import fitting, told
from portway.model.event import Diagnostic, HttpRequestComplete, TcpConnectionClosed

TELLING = """
on_http_request:
  - name: perhaps
    expressions: ["req.headers['x-a'][0] == 'b'"]
    actions: [{type: log, config: {metadata: {a: never}}}]
  - actions: [{type: log, config: {metadata: {path: "${req.url.path}"}}}]
  - name: strict
    expressions: ["req.headers['x-b'][0] == 'b'"]
    actions: [{type: deny}]
"""


def run_of(**given: Any) -> Any:
    return SimpleNamespace(**({"decisions": {}, "logs": [], "diagnostics": []} | given))


@pytest.mark.row("P-12", "P-65")
async def test_an_event_tells_what_failed_and_where() -> None:
    async with ruled(TELLING) as on:
        client = await on.stand.visit()
        client.get("/a")
        assert (await client.answer())[0] == 500
        event = await on.stand.request_told()
        assert event.traffic_policy_logs == ({"metadata": {"path": "/a"}},)
        found = [(each.rule, each.what, each.code) for each in event.traffic_policy_diagnostics]
        assert found == [
            ("on_http_request[0] (perhaps)", "expression error", 2254),
            ("on_http_request[2] (strict)", "expression error", 2254),
            ("on_http_request[2] (strict)", "refused", 2254),
        ]
        assert "req.headers['x-a'][0]" in event.traffic_policy_diagnostics[0].detail


def test_runs_add_up() -> None:
    assert told(None, run_of()) is None
    first = told(None, run_of(decisions={"ip_policy.decision": "allow"}, logs=[{"a": 1}]))
    both = told(first, run_of(decisions={"ip_policy.decision": "block"}, logs=[{"a": 2}]))
    assert both == {"ip_policy_decision": "block", "traffic_policy_logs": ({"a": 1}, {"a": 2})}
    assert told(both, run_of()) == both


def test_only_the_first_are_kept() -> None:
    many = [Diagnostic("r", "failed", str(number)) for number in range(policy_events.MOST + 5)]
    made = told(None, run_of(diagnostics=many))
    assert made is not None
    assert made[policy_events.DIAGNOSTICS] == tuple(many[: policy_events.MOST])


def test_events_take_what_they_have_fields_for() -> None:
    more = {"basic_auth_decision": "allow", "ip_policy_decision": "allow", "unheard_of": 1}
    assert set(fitting(HttpRequestComplete, more)) == {"basic_auth_decision", "ip_policy_decision"}
    assert set(fitting(TcpConnectionClosed, more)) == {"ip_policy_decision"}
