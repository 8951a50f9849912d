"""forward-internal: what is accepted, what is refused with which code, and what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, policy

from portway.policy.compiler import Target
from portway.policy.verdict import CONTINUE, Failed, Forward, Respond

GOOD = [
    ("forward-internal", "url: http://a.internal\nbinding: internal\non_error: continue", ""),
    ("forward-internal", "url: 'https://${req.host}.internal:8443'", ""),
]

BAD = [
    ("forward-internal", "{}", "on_http_request", 2234),
    ("forward-internal", "url: https://example.com", "on_http_request", 2226),
    ("forward-internal", "url: tcp://a.internal:1", "on_http_request", 2226),
    ("forward-internal", "url: https://a.internal/path", "on_http_request", 2226),
    ("forward-internal", "url: https://a.internal\non_error: maybe", "on_http_request", 2222),
]


@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]


@pytest.mark.parametrize("on_error", ["halt", "continue"])
def test_an_error_ends_or_is_told(on_error: str) -> None:
    run = begin(policy(action("forward-internal", f"url: 'HTTP://A.internal'\non_error: {on_error}")))
    assert run.step() == Forward("http://a.internal", on_error == "continue")
    after = run.resume(Failed(3200, "offline", 404))
    if on_error == "halt":
        assert isinstance(after, Respond)
        assert (after.status, after.code) == (404, 3200)
        return
    assert after == CONTINUE
    assert run.facts.results["forward_internal"] == {
        "url": "HTTP://A.internal",
        "error": {"code": "ERR_NGROK_3200", "message": "offline"},
    }


def test_a_url_that_is_computed_wrongly_is_an_error() -> None:
    verdict = begin(policy(action("forward-internal", "url: 'https://${req.method}.example'"))).step()
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, 2247)


def test_protocols_forward_to_their_own_family() -> None:
    tcp = action("forward-internal", "url: tcp://a.internal:1", "on_tcp_connect")
    assert codes(tcp, Target("tcp")) == []
    assert codes(tcp, Target("tls")) == [2226]
    assert codes(action("forward-internal", "url: tcp://a.internal", "on_tcp_connect"), Target("tcp")) == [
        2226
    ]
    http = action("forward-internal", "url: https://a.internal", "on_tcp_connect")
    assert codes(http) == [2205]
