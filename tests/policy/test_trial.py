"""A policy tried on an imagined request."""

from random import Random

from tests.kit.policy import NOW, facts, policy

from portway.policy.engine import Policy
from portway.policy.facts import Connection, Facts, Response
from portway.policy.phase import Phase
from portway.policy.trial import Trial, as_json, attempt, told
from portway.policy.verdict import CONTINUE, Close, Fetch, Forward, Respond


def tried(compiled: Policy, times: int = 1) -> Trial:
    """Try a policy on equal requests."""
    return attempt(compiled, facts, lambda: Response(404), now=NOW, times=times, random=Random(1))


def test_phases_run_until_one_decides() -> None:
    both = policy(
        """
        on_http_request:
          - actions: [{type: custom-response, config: {status_code: 201, body: x}}]
        on_http_response:
          - expressions: ["res.status_code == 201"]
            actions: [{type: add-headers, config: {headers: {a: "1"}}}]
        """
    )
    trial = tried(both)
    assert [each.phase for each in trial.phases] == [Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE]
    assert trial.answer is not None
    status, fields, body = trial.answer
    assert (status, body) == (201, b"x")
    assert (b"a", b"1") in fields


def test_a_refusal_ends_it() -> None:
    trial = tried(policy("on_http_request: [{actions: [{type: deny}]}]\non_http_response: []"))
    assert trial.verdict == Respond(403)
    assert trial.answer == (403, [], b"")


def test_a_response_phase_may_replace_the_answer() -> None:
    trial = tried(
        policy(
            "on_http_response: [{actions: [{type: custom-response, config: {status_code: 203, body: y}}]}]"
        )
    )
    assert trial.answer is not None
    assert trial.answer[0] == 203
    assert trial.answer[2] == b"y"


def test_connections_have_one_phase() -> None:
    closing = policy("on_tcp_connect: [{actions: [{type: deny}]}]", "tcp")
    trial = attempt(closing, lambda: Facts(Connection()), Response, now=NOW, random=Random(1))
    assert trial.verdict == Close()
    assert trial.answer is None
    assert as_json(trial)["request"] is None


def test_verdicts_in_words() -> None:
    assert told(CONTINUE) == "goes on"
    assert told(Respond(429, code=5, body=b"ab")) == "is answered 429 (ERR_NGROK_5) with 2 bytes"
    assert told(Close(7)) == "is closed (ERR_NGROK_7)"
    assert told(Forward("https://a.internal")) == "is forwarded to https://a.internal"
    assert told(Fetch("page", {})) == "waits for page"
