"""The engine: order, results, variables, errors that close or are absorbed, and nothing that escapes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from tests.kit.policies import action as policy_of
from tests.kit.policy import NOW, begin, expression, facts, policy, verdict

from portway.policy.actions import ActionFailed, ActionType
from portway.policy.engine import UNWATCHED, Policy, Rule, Run, Step
from portway.policy.facts import Response
from portway.policy.limits import PolicyLimits
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, UNAPPLIED, Close, Failed, Fetch, Forward, Respond, Verdict


@dataclass
class Fake:
    """An action that does what a test says."""

    act: Callable[[Run], Verdict | None]
    ran: list[str] = field(default_factory=list[str])

    def run(self, run: Run) -> Verdict | None:
        """Do it."""
        self.ran.append(run.phase)
        return self.act(run)


class Patient(Fake):
    """One that goes on with what the edge brought."""

    def resume(self, run: Run, result: object) -> Verdict | None:
        """Keep it; fail where it failed."""
        run.publish("fetched", {"value": str(result)})
        return None


def made(*actions: Fake, guard: bool = False, when: str = "", phase: Phase = Phase.HTTP_REQUEST) -> Policy:
    """Make a policy of one rule with these actions."""
    kind = ActionType("fake", lambda _config, _compiler: actions[0], frozenset(Phase))
    steps = tuple(Step(kind, each, "p", 1, 1, ends=False, guard=guard) for each in actions)
    conditions = (expression(when, phase),) if when else ()
    return Policy({phase: (Rule("r", "p[0]", 1, 1, conditions, steps),)})


LIMIT = (
    "{type: rate-limit, config: {name: n, algorithm: sliding_window, capacity: 1, rate: 60s,"
    " bucket_key: [conn.client_ip]}}"
)


def answer(_run: Run) -> Verdict:
    """Answer something."""
    return Respond(418)


def nothing(_run: Run) -> None:
    """Do nothing."""


def test_rules_run_in_order_and_see_what_came_before() -> None:
    known = facts(fields=[(b"x-a", b"1")])
    run = begin(
        policy(
            """
            on_http_request:
              - expressions: ["!hasReqHeader('x-b')"]
                actions:
                  - type: add-headers
                    config: {headers: {x-b: "${req.headers['X-A'][0]}2"}}
              - expressions: ["req.headers['x-b'] == ['12']"]
                actions:
                  - type: set-vars
                    config: {vars: [{n: "${size(req.headers)}"}, {m: "${vars.n + 1}"}]}
              - expressions:
                  - "vars.m == vars.n + 1"
                  - "actions.ngrok.add_headers.headers_added['x-b'] == '12'"
                actions:
                  - type: deny
                    config: {status_code: 499}
            """
        ),
        known=known,
    )
    assert run.step() == Respond(499)
    assert (b"x-b", b"12") in (known.request.fields if known.request else [])


@pytest.mark.row("P-11")
def test_results_overwrite_and_last_until_the_response() -> None:
    known = facts(response=Response(200))
    both = policy(
        """
        on_http_request:
          - actions:
              - {type: add-headers, config: {headers: {a: "1"}}}
              - {type: add-headers, config: {headers: {b: "2"}}}
              - {type: set-vars, config: {vars: [{x: 1}]}}
        on_http_response:
          - expressions: ["actions.ngrok.add_headers.headers_added == {'b': '2'} && !has(vars.x)"]
            actions: [{type: custom-response, config: {status_code: 202}}]
        """
    )
    assert begin(both, known=known).step() == CONTINUE
    answered = begin(both, Phase.HTTP_RESPONSE, known).step()
    assert isinstance(answered, Respond)
    assert answered.status == 202


def test_a_policy_without_rules_in_a_phase_says_so() -> None:
    made_policy = policy("on_http_request: [{actions: [{type: deny}]}]")
    assert made_policy.has(Phase.HTTP_REQUEST)
    assert not made_policy.has(Phase.HTTP_RESPONSE)
    assert begin(made_policy, Phase.HTTP_RESPONSE, facts(response=Response())).step() == CONTINUE


@pytest.mark.row("P-12")
def test_an_error_in_an_expression_means_no_match_where_nothing_is_guarded() -> None:
    """Routing samples rely on it; the error is recorded."""
    run = begin(
        policy(
            """
            on_http_request:
              - name: route
                expressions: ["req.headers['x'][0] == 'a'"]
                actions: [{type: custom-response, config: {status_code: 201}}]
              - actions: [{type: custom-response, config: {status_code: 202}}]
            """
        )
    )
    answered = run.step()
    assert isinstance(answered, Respond)
    assert answered.status == 202
    [error] = [each for each in run.diagnostics if each.what == "expression error"]
    assert error.rule == "on_http_request[0] (route)"
    assert "req.headers['x'][0]" in error.detail


@pytest.mark.parametrize(
    "action",
    [
        "{type: deny}",
        "{type: close-connection}",
        "{type: custom-response, config: {status_code: 400}}",
        "{type: basic-auth, config: {credentials: ['user:password']}}",
        "{type: restrict-ips, config: {allow: ['0.0.0.0/0']}}",
        LIMIT,
        "{type: circuit-breaker, config: {error_threshold: 0.5}}",
    ],
)
def test_guards_fail_closed(action: str) -> None:
    """Decision 14: a rule that refuses somebody refuses everybody when it cannot tell."""
    document = f"""
        on_http_request:
          - expressions: ["!actions.ngrok.oauth.identity.email.endsWith('@acme.com')"]
            actions: [{action}]
          - actions: [{{type: custom-response}}]
        """
    answered = verdict(document)
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code, answered.final) == (500, 2254, True)


def test_a_guard_of_a_connection_closes_it() -> None:
    document = """
        on_tcp_connect:
          - expressions: ["vars.x == 1"]
            actions: [{type: deny}]
        """
    assert verdict(document, phase=Phase.TCP_CONNECT) == Close(2254)


def test_an_expression_that_is_no_boolean_in_the_end_does_not_match() -> None:
    document = """
        on_http_request:
          - expressions: ["vars"]
            actions: [{type: custom-response}]
        """
    assert verdict(document) == CONTINUE


def test_a_failing_interpolation_is_an_error_page() -> None:
    answered = verdict(
        """
        on_http_request:
          - actions: [{type: add-headers, config: {headers: {a: "${req.url.port}"}}}]
        """
    )
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code, answered.page) == (500, 2238, True)


def test_no_exception_escapes() -> None:
    def broken(_run: Run) -> None:
        raise ZeroDivisionError("ours")

    run = begin(made(Fake(broken)))
    answered = run.step()
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code) == (500, 2300)
    assert "ours" not in answered.message
    assert any("ZeroDivisionError" in each.detail for each in run.diagnostics)
    assert begin(made(Fake(broken), phase=Phase.TCP_CONNECT), Phase.TCP_CONNECT).step() == Close(2300)


def test_an_action_that_fails_says_how() -> None:
    def failing(_run: Run) -> None:
        raise ActionFailed(3904, "It did not work.", 503)

    answered = begin(made(Fake(failing))).step()
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code, answered.message) == (503, 3904, "It did not work.")


def test_what_the_edge_brings_is_gone_on_with() -> None:
    patient = Patient(lambda _run: Fetch("page", {"url": "u"}))
    run = begin(made(patient, Fake(answer)))
    assert run.step() == Fetch("page", {"url": "u"})
    assert run.resume("brought") == Respond(418)
    assert run.facts.results["fetched"] == {"value": "brought"}


def test_a_forward_that_fails_is_an_error_unless_the_action_knows_better() -> None:
    run = begin(made(Fake(lambda _run: Forward("https://a.internal")), Fake(answer)))
    assert run.step() == Forward("https://a.internal")
    failed = run.resume(Failed(3200, "It is offline.", 404))
    assert isinstance(failed, Respond)
    assert (failed.status, failed.code) == (404, 3200)
    run = begin(made(Patient(lambda _run: Forward("https://a.internal", go_on=True)), Fake(answer)))
    run.step()
    assert run.resume(Failed(3200, "It is offline.")) == Respond(418)


def test_resuming_what_does_not_wait_is_our_mistake() -> None:
    run = begin(made(Fake(nothing)))
    assert run.step() == CONTINUE
    answered = run.resume(None)
    assert isinstance(answered, Respond)
    assert answered.code == 2300


@pytest.mark.row("P-08")
def test_time_is_bounded() -> None:
    slow = Policy(
        {Phase.HTTP_REQUEST: made(Fake(nothing), Fake(nothing), Fake(answer)).rules(Phase.HTTP_REQUEST)},
        PolicyLimits(run=1.0),
    )
    passed = iter((5.0, 5.0, 5.5, 6.1))
    run = slow.begin(
        Phase.HTTP_REQUEST, facts(), {}, now=NOW, monotonic=0, random=Random(1), elapsed=lambda: next(passed)
    )
    answered = run.step()
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code) == (500, 2253)


SKIPPED = """
    on_http_request:
      - expressions: ["req.method == 'PUT'"]
        actions: [{type: deny}]
      - expressions: ["req.method == 'GET'", "req.url.path == '/nowhere'"]
        actions: [{type: deny}]
      - expressions: ["req.method == 'POST'"]
        actions: [{type: custom-response, config: {status_code: 418}}]
    """


def test_rules_that_surely_do_not_match_are_skipped_and_not_asked_again() -> None:
    assert begin(policy(SKIPPED)).skip()
    run = begin(policy(SKIPPED), known=facts(method="POST"))
    assert not run.skip()
    assert run.request.method == "POST"
    run.request.method = "PUT"  # the first rule would match now
    assert run.step() == CONTINUE


def test_what_is_skipped_is_what_would_not_match() -> None:
    for condition, skipped in (
        ("req.method == 'POST'", True),
        ("true", False),
        ("req.method == 'GET'", False),
        ("req.headers['gone'][0] == 'a'", False),  # absent: the evaluator has to say so
        ("1 / 0 == 1", False),
        ("rand.double() > 2.0", False),
    ):
        document = f'on_http_request: [{{expressions: ["{condition}"], actions: [{{type: deny}}]}}]'
        run = begin(policy(document))
        assert run.skip() is skipped, condition
        assert not run.diagnostics
    assert not begin(policy("on_http_request: [{actions: [{type: deny}]}]")).skip()


def test_no_exception_escapes_skipping_and_step_tells_of_it() -> None:
    def broken(_scope: object) -> bool:
        raise RuntimeError("our own mistake")

    document = policy(SKIPPED)
    document.rules(Phase.HTTP_REQUEST)[1].conditions[0].quick = broken
    run = begin(document)
    assert not run.skip()
    answered = run.step()
    assert isinstance(answered, Respond)
    assert answered.code == 2300


def test_time_counts_from_the_rules_that_were_skipped() -> None:
    rule = policy(SKIPPED).rules(Phase.HTTP_REQUEST)[0]
    last = made(Fake(answer)).rules(Phase.HTTP_REQUEST)[0]
    slow = Policy({Phase.HTTP_REQUEST: (*[rule] * (2 * UNWATCHED), last)}, PolicyLimits(run=1.0))
    passed = iter((5.0, 5.5, 6.1, 6.2))
    run = slow.begin(
        Phase.HTTP_REQUEST, facts(), {}, now=NOW, monotonic=0, random=Random(1), elapsed=lambda: next(passed)
    )
    assert not run.skip()
    answered = run.step()
    assert isinstance(answered, Respond)
    assert (answered.status, answered.code) == (500, 2253)


def test_waiting_for_the_edge_is_not_the_rules_time() -> None:
    policy_of_two = Policy(
        {
            Phase.HTTP_REQUEST: made(Patient(lambda _run: Fetch("page", {})), Fake(answer)).rules(
                Phase.HTTP_REQUEST
            )
        }
    )
    passed = iter((0.0, 0.1, 60.0, 60.1))
    run = policy_of_two.begin(
        Phase.HTTP_REQUEST, facts(), {}, now=NOW, monotonic=0, random=Random(1), elapsed=lambda: next(passed)
    )
    assert run.step() == Fetch("page", {})
    assert run.resume("brought") == Respond(418)


def test_memory_of_variables_is_bounded() -> None:
    def greedy(run: Run) -> None:
        for number in range(100):
            run.set_var(f"x{number}", "a" * 100_000)

    run = begin(made(Fake(greedy)))
    answered = run.step()
    assert isinstance(answered, Respond)
    assert answered.code == 2249
    assert len(run.vars) < 12


def test_header_values_hold_no_line_breaks() -> None:
    run = begin(made(Fake(nothing)), known=facts("/?a=x%0d%0aset-cookie:%20b"))
    run.vars = {"a": "x\r\nset-cookie: b\0"}
    from portway.policy.compiler import World
    from portway.policy.interpolation import compile_template
    from portway.policy.limits import DEFAULT_LIMITS

    template = compile_template("${vars.a}", Phase.HTTP_REQUEST, DEFAULT_LIMITS, World())
    assert b"\r" not in run.header_value(template)
    assert b"\n" not in run.header_value(template)


def test_a_rule_s_expressions_are_all_needed() -> None:
    document = """
        on_http_request:
          - expressions: ["true", "req.method == 'POST'", "1 / 0 == 1"]
            actions: [{type: deny}]
        """
    assert verdict(document) == CONTINUE
    answered = verdict(document, facts(method="POST"))
    assert isinstance(answered, Respond)
    assert answered.code == 2254


def test_repr_tells_what_is_there() -> None:
    assert repr(policy("on_http_request: [{actions: [{type: deny}]}]")) == "<Policy on_http_request: 1>"
    assert repr(Policy({})) == "<Policy without rules>"


@pytest.mark.parametrize(
    ("kind", "config", "code"),
    [
        ("add-headers", 'headers: {x: "${vars.private}"}', 2238),
        (
            "rate-limit",
            "{name: a, algorithm: sliding_window, capacity: 1, rate: 60s, bucket_key: [vars.private]}",
            2253,
        ),
        ("request-body-find-replace", 'replacements: [{from: "${vars.private}"}]', 3900),
    ],
)
def test_what_an_expression_quotes_is_for_the_log_alone(kind: str, config: str, code: int) -> None:
    run = begin(policy(policy_of(kind, config)))
    refused = run.step()
    assert isinstance(refused, Respond)
    assert (refused.status, refused.code, refused.message) == (500, code, UNAPPLIED)
    assert "private" in run.diagnostics[-1].detail
