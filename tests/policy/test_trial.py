"""A policy tried on an imagined request."""

from random import Random

from tests.kit.policy import NOW, facts, policy

from portway.policy.engine import Policy
from portway.policy.facts import Connection, Endpoint, Facts, Response
from portway.policy.phase import Phase
from portway.policy.trial import NOTHING, Imagined, Trial, as_json, attempt, event_of, told
from portway.policy.verdict import CONTINUE, Close, Fetch, Forward, Respond


def tried(compiled: Policy, times: int = 1, imagined: Imagined = NOTHING) -> Trial:
    """Try a policy on equal requests."""
    return attempt(
        compiled, facts, lambda: Response(404), now=NOW, times=times, random=Random(1), imagined=imagined
    )


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
    assert told(Fetch("keys", {})) == "waits for the keys of an issuer, and nobody is asked here"
    assert told(Fetch("http", {})).startswith("waits for an answer to its request")


def test_handshakes_succeed() -> None:
    compiled = policy(
        """
        on_tcp_connect:
          - actions: [{type: terminate-tls, config: {max_version: "1.2"}}]
          - expressions: ["conn.tls.version == '1.2' && conn.tls.sni == 'a.example'"]
            actions: [{type: deny}]
        """,
        "tls",
    )
    trial = attempt(
        compiled,
        lambda: Facts(Connection(), Endpoint("ep_1", "tls://a.example", "tls", "a.example", 443)),
        Response,
        now=NOW,
        random=Random(1),
    )
    assert trial.verdict == Close()
    assert trial.phases[0].rules[0].actions == ["terminate-tls"]
    plain = policy(
        "on_http_request: [{expressions: [\"conn.tls.version == '1.3'\"], actions: [{type: deny}]}]"
    )
    assert tried(plain).verdict == Respond(403)


def test_internal_endpoints_may_be_away() -> None:
    compiled = policy(
        """
        on_http_request:
          - actions:
              - {type: forward-internal, config: {url: "https://a.internal", on_error: continue}}
              - {type: forward-internal, config: {url: "https://b.internal"}}
        """
    )
    assert tried(compiled).verdict == Forward("https://a.internal", go_on=True)
    verdict = tried(compiled, imagined=Imagined(offline=True)).verdict
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (404, 3200)


def test_bodies_and_messages_are_those_that_are_given() -> None:
    compiled = policy(
        """
        on_http_request:
          - actions: [{type: verify-webhook, config: {provider: gitlab, secret: "s", enforce: false}}]
          - expressions: ["!actions.ngrok.verify_webhook.verified"]
            actions: [{type: log, config: {metadata: {a: b}}}]
        on_event_stream_message:
          - actions: [{type: sse-find-replace, config: {replacements: [{from: a+, to: b}]}}]
        """
    )

    def streamed() -> Response:
        return Response(200, [(b"content-type", b"text/event-stream; charset=utf-8")])

    given = Imagined(event=b"aac", body=b"x")
    trial = attempt(compiled, facts, streamed, now=NOW, random=Random(1), imagined=given)
    assert trial.verdict == CONTINUE
    assert trial.phases[0].logs
    assert event_of(trial) == as_json(trial)["event"] == "bc"
    assert event_of(tried(compiled, imagined=given)) is None  # that answer is no stream of events
