"""forward-internal: what it does."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, policy

from portway.policy.compiler import Target
from portway.policy.verdict import CONTINUE, Failed, Forward, Respond


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
        "url": "http://a.internal:80",
        "error": {"code": "ERR_NGROK_3200", "message": "offline"},
    }


def test_a_url_that_is_computed_wrongly_is_an_error() -> None:
    verdict = begin(policy(action("forward-internal", "url: 'https://${req.method}.example'"))).step()
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, 2247)


def test_what_cannot_be_computed_is_told_to_who_goes_on() -> None:
    run = begin(policy(action("forward-internal", 'url: "https://${vars.x}.internal"\non_error: continue')))
    assert run.step() == CONTINUE
    error = {"code": "ERR_NGROK_2238", "message": 'A value could not be computed: there is no key "x"'}
    assert run.facts.results["forward_internal"] == {"url": "", "error": error}


def test_what_failed_is_what_was_tried() -> None:
    run = begin(
        policy(
            action("forward-internal", 'url: "https://n${rand.int(1, 1000000)}.internal"\non_error: continue')
        )
    )
    asked = run.step()
    assert isinstance(asked, Forward)
    run.resume(Failed(3200, "offline", 404))
    error = {"code": "ERR_NGROK_3200", "message": "offline"}
    assert run.facts.results["forward_internal"] == {"url": f"{asked.url}:443", "error": error}


@pytest.mark.row("P-49")
def test_protocols_forward_to_their_own_family() -> None:
    tcp = action("forward-internal", "url: tcp://a.internal:1", "on_tcp_connect")
    assert codes(tcp, Target("tcp")) == []
    assert codes(tcp, Target("tls")) == [2226]
    assert codes(action("forward-internal", "url: tcp://a.internal", "on_tcp_connect"), Target("tcp")) == [
        2226
    ]
    http = action("forward-internal", "url: https://a.internal", "on_tcp_connect")
    assert codes(http) == [2205]
