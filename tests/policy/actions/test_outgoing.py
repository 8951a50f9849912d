"""Tests of http-request: what is asked for, when again, and what later rules see."""

from typing import Any

import pytest
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.engine import Run
from portway.policy.verdict import CONTINUE, Failed, Fetch, Respond, Verdict


def document(config: str = "url: 'https://api.internal/x'") -> str:
    return f"""
on_http_request:
  - actions:
      - type: http-request
        config: {{{config}}}
"""


def answer(status: int = 200, body: bytes = b"hello", seconds: float = 0.1) -> dict[str, Any]:
    return {
        "status": status,
        "headers": [("X-One", "1"), ("x-one", "2")],
        "body": body,
        "address": "192.0.2.9",
        "seconds": seconds,
    }


def started(config: str) -> tuple[Run, Fetch]:
    run = begin(policy(document(config)), known=facts("/p?q=a%20b", method="POST"))
    verdict = run.step()
    assert isinstance(verdict, Fetch)
    assert verdict.what == "http"
    return run, verdict


def result(run: Run) -> Any:
    return run.facts.results["http_request"]


def test_a_request_is_written_and_its_answer_is_seen() -> None:
    run, asked = started(
        "url: 'https://api.internal/${req.method}?x=1#f', method: PUT, body: '${req.url.path}',"
        " headers: {X-Mine: '${req.method}'}, query_params: [{key: 'a b', value: '${req.url.query}'}],"
        " timeout: 5s, max_redirects: 2"
    )
    assert dict(asked.arguments) == {
        "method": "PUT",
        "url": "https://api.internal/POST?x=1&a%20b=q%3Da%2520b",
        "headers": (("x-mine", "POST"),),
        "body": b"/p",
        "redirects": 2,
        "limit": 262_144,
        "timeout": 5.0,
    }
    assert run.resume(answer()) is CONTINUE
    found = result(run)
    assert found["res"] == {
        "resolved_ip": "192.0.2.9",
        "header": {"x-one": ["1", "2"]},
        "status_code": 200,
        "time_ms": 100,
        "body": "hello",
    }
    assert found["req"]["header"] == {"x-mine": ["POST"]}
    assert found["error"] == {"code": "", "message": ""}
    assert len(found["attempts"]) == 1


def test_by_default_a_failure_goes_on_and_is_told() -> None:
    run, _ = started("url: 'https://a.example/'")
    assert run.resume(Failed(3214, "redirected", 502)) is CONTINUE
    assert result(run)["error"] == {"code": "ERR_NGROK_3214", "message": "redirected"}
    run, _ = started("url: 'https://a.example/', on_error: halt")
    verdict = run.resume(Failed(3200, "offline", 404))
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (404, 3200)


def attempts(config: str, *results: object) -> tuple[int, Verdict, Run]:
    run, verdict = started(config)
    count: int = 0
    last: Verdict = verdict
    for each in results:
        assert isinstance(last, Fetch)
        count += 1
        last = run.resume(each)
        if not isinstance(last, Fetch):
            break
    return count, last, run


@pytest.mark.parametrize(
    "condition",
    [
        "last_attempt.res.status_code >= 500",
        "last_attempt.res.statusCode >= 500 && attempts < 10",
        "attempts < 3 && last_attempt.res.body == 'no'",
        "[1].exists(x, x + attempts > 1) && last_attempt.res.statusCode == 500",
    ],
)
def test_a_condition_asks_again(condition: str) -> None:
    config = f"url: 'https://a.internal/', retry_condition: \"{condition}\""
    count, verdict, run = attempts(config, answer(500, b"no"), answer(500, b"no"), answer())
    assert (count, verdict) == (3, CONTINUE)
    assert [each["response_status_code"] for each in result(run)["attempts"]] == [500, 500, 200]


def test_it_is_asked_again_three_times_at_most_and_within_its_time() -> None:
    always = "url: 'https://a.internal/', retry_condition: 'true'"
    assert attempts(always, *[answer(500)] * 9)[0] == 4
    assert attempts(always, *[answer(500, seconds=1.6)] * 9)[0] == 2
    count, _, run = attempts(f"{always}, on_error: continue", *[Failed(2300, "gone")] * 9)
    assert count == 4
    assert result(run)["error"]["code"] == "ERR_NGROK_2300"


def test_a_condition_that_fails_asks_no_more() -> None:
    config = "url: 'https://a.internal/', retry_condition: 'last_attempt.res.header[\"x\"][0] == \"1\"'"
    count, verdict, run = attempts(config, answer(), answer())
    assert (count, verdict) == (1, CONTINUE)
    assert any("retry_condition" in each.detail for each in run.diagnostics)


def test_later_rules_see_the_answer() -> None:
    text = (
        document()
        + """
  - expressions: ["actions.ngrok.http_request.res.body.decodeJson().allowed != true"]
    actions: [{type: deny}]
"""
    )
    for body, status in ((b'{"allowed": true}', 0), (b'{"allowed": false}', 403), (b"no", 500)):
        run = begin(policy(text))
        run.step()
        verdict = run.resume(answer(body=body))
        assert (verdict.status if isinstance(verdict, Respond) else 0) == status


def test_line_breaks_cannot_come_in_by_values() -> None:
    run = begin(
        policy(document("url: 'https://a.internal/', headers: {x-a: \"${req.headers['x'][0]}\"}")),
        known=facts(fields=[(b"x", b"a\r\nX-Evil: 1")]),
    )
    asked = run.step()
    assert isinstance(asked, Fetch)
    assert asked.arguments["headers"] == (("x-a", "a  X-Evil: 1"),)
    run = begin(policy(document("url: \"https://a.internal/${req.headers['x'][0]}\"")), known=facts(
        fields=[(b"x", b"a b")]))  # fmt: skip
    verdict = run.step()
    assert isinstance(verdict, Respond)
    assert verdict.code == 2247


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("method: GET", [2234]),
        ("url: 'ftp://a.example/'", [2226]),
        ("url: 'https://u:p@a.example/'", [2226]),
        ("url: 'https://a.example/', method: TRACE", [2222]),
        ("url: 'https://a.example/', body: x", [2240]),
        ("url: 'https://a.example/', timeout: 31s", [2225]),
        ("url: 'https://a.example/', max_redirects: 101", [2215]),
        ("url: 'https://a.example/', headers: {host: x}", [2210]),
        ("url: 'https://a.example/', retry_condition: 'nothing'", [2200]),
        ("url: 'https://a.example/', retry_condition: '1 + 1'", [2200]),
        ("url: 'https://a.example/', retry_condition: 'attempts <'", [2200]),
        ("url: 'https://a.example/', query_params: [{value: x}]", [2234]),
        (f"url: 'https://a.example/', query_params: [{{key: {'k' * 129}}}]", [2245]),
        (f"url: 'https://a.example/', query_params: [{{key: k, value: {'v' * 8193}}}]", [2246]),
        ("url: 'https://a.example/', query_params: [" + "{key: k}," * 33 + "]", [2244]),
    ],
)
def test_mistakes_are_found(config: str, found: list[int]) -> None:
    assert codes(document(config)) == found
