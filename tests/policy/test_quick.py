"""Conditions and texts that need no evaluator say what the evaluator would."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.kit.policy import NOW, begin, facts, policy

from portway.policy.compiler import World
from portway.policy.engine import Policy
from portway.policy.expression import EvaluationError, Expression, compile_expression
from portway.policy.facts import Facts, Response
from portway.policy.limits import DEFAULT_LIMITS
from portway.policy.phase import Phase
from portway.policy.quick import LOOKUPS, quick_test, quick_text
from portway.policy.verdict import CONTINUE

PHASE = Phase.HTTP_RESPONSE
TEXTS = ("", "/", "/a", "GET", "PUT", "b", "B", "a.example", "/ä", "1", "\ufffd", "192.0.2.1", "200")

TEXT = st.sampled_from([
    "req.url.path", "req.method", "req.Method", "req.host", "req.url.query", "req.url", "conn.client_ip",
    "req.headers['x'][0]", 'req.headers["X-Y"][0]', "req.url.query_params['q'][0]", "req.user_agent",
    "res.headers['x'][0]", "conn.tls.sni", "endpoint.host", "req.content_type", "time.now",
])  # fmt: skip
LITERAL = st.sampled_from([*(f"'{each}'" for each in TEXTS), '"b"', '"/"', "r'b'", "'''b'''", "'\\x62'"])
NUMBER = st.sampled_from(
    ["res.status_code", "conn.client_port", "req.url.port", "req.content_length", "endpoint.port"]
)
TABLE = st.sampled_from(["req.headers", "res.headers", "req.url.query_params", "req.cookies"])
ATOM = st.one_of(
    st.builds("{}.{}({})".format, TEXT, st.sampled_from(["startsWith", "endsWith", "contains"]), LITERAL),
    st.builds("{} {} {}".format, TEXT, st.sampled_from(["==", "!="]), LITERAL),
    st.builds("{} in [{}]".format, TEXT, st.lists(LITERAL, max_size=3).map(", ".join)),
    st.builds(
        "{} {} {}".format, NUMBER, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        st.sampled_from(["0", "200", "443", "40000", "0x10", "007"]),
    ),
    st.builds("{} in {}".format, LITERAL, TABLE),
    st.builds("has({})".format, st.just("req.url.port")),
)  # fmt: skip
CONDITION = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({})".format, inner),
        st.lists(inner, min_size=2, max_size=3).map(" && ".join).map("({})".format),
        st.lists(inner, min_size=2, max_size=3).map(" || ".join).map("({})".format),
    ),
    max_leaves=4,
)
VALUE = st.sampled_from([b"", b"b", b"B", b"/a", b"\xff", b"\xc3\xa4", b"b\0", b"200"])
FIELDS = st.lists(
    st.tuples(st.sampled_from([b"x", b"X", b"x-y", b"cookie", b"content-length", b"user-agent"]), VALUE),
    max_size=4,
)


def _facts(target: str, method: str, fields: list[tuple[bytes, bytes]], status: int | None) -> Facts:
    response = None if status is None else Response(status, list(fields))
    return facts(target, method=method, fields=fields, response=response)


KNOWN = st.builds(
    _facts,
    st.sampled_from(["/", "/a", "/%61?q=b", "/a/b?q=", "/%00", "/%ff", "*", "/%C3%A4?q=%00"]),
    st.sampled_from(["GET", "PUT"]),
    FIELDS,
    st.sampled_from([None, 200, 404]),
)


def answers(source: str, known: Facts) -> tuple[bool | None, object]:
    """Return what the quick test says, and what the evaluator does; None where it fails."""
    run = Policy({}).begin(PHASE, known, {}, now=NOW, monotonic=0.0, random=Random(1))
    quick = quick_test(source, PHASE, DEFAULT_LIMITS)
    try:
        slow = compile_expression(source, PHASE, DEFAULT_LIMITS, World()).evaluate(run)
    except EvaluationError:
        slow = None
    return None if quick is None else quick(run), slow


@settings(max_examples=400, deadline=None)
@given(CONDITION, KNOWN)
def test_it_says_what_the_evaluator_says_or_nothing(source: str, known: Facts) -> None:
    quick, slow = answers(source, known)
    assert quick is None or quick is slow, (source, known)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("req.url.path.startsWith('/a')", True),
        ("!req.url.path.endsWith('/a')", True),
        ("req.url.path == '/a/b' && req.method != \"PUT\"", True),
        ("req.method in ['PUT', 'GET'] || 1 / 0 > 1", None),
        ("(req.method in ['PUT', 'GET']) && !('y' in req.headers)", True),
        ("req.headers['X'][0] == 'b'", True),
        ("req.headers['y'][0] == 'b'", None),
        ("req.url.query_params['q'][0].contains('2')", False),
        ("res.status_code >= 500 || conn.client_port == 40000", True),
        ("req.url.port == 443", None),
        ("req.url.path.matches('^/a')", None),
        ("req.url.path == '\\x2fa'", None),
        ("req.url.path == req.host", None),
        ("req.cookies['a'][0].value == 'b'", None),
        ("!!('x' in req.headers)", None),
        ("-conn.client_port == 1", None),
        ("req.method == 'GET' == true", None),
    ],
)
def test_what_is_simple_enough(source: str, wanted: bool | None) -> None:
    known = facts("/a/b?q=1", fields=[(b"x", b"b")], response=Response(200))
    quick, _ = answers(source, known)
    assert quick is wanted


@settings(max_examples=200, deadline=None)
@given(TEXT, KNOWN)
def test_a_text_is_what_the_evaluator_says_it_is(source: str, known: Facts) -> None:
    run = Policy({}).begin(PHASE, known, {}, now=NOW, monotonic=0.0, random=Random(1))
    made = compile_expression(source, PHASE, DEFAULT_LIMITS, World())
    quick = made.quick = quick_text(source, PHASE, DEFAULT_LIMITS)
    assert quick is not None or source in {"req.url.query_params['q'][0]", "time.now"}, source
    try:
        slow = made.evaluate(run)
    except EvaluationError:
        assert quick is None or quick(run) is None
    else:
        assert made.answer(run) == slow


@pytest.mark.parametrize("source", ["'a'", "req.method + 'a'", "res.status_code", "req.headers['x']", "1 +"])
def test_what_is_more_than_a_text_is_the_evaluators(source: str) -> None:
    assert quick_text(source, PHASE, DEFAULT_LIMITS) is None


def test_a_bucket_and_a_value_need_no_evaluator(monkeypatch: pytest.MonkeyPatch) -> None:
    document = """
        on_http_request:
          - actions:
              - type: rate-limit
                config:
                  {name: n, algorithm: sliding_window, capacity: 1, rate: 60s, bucket_key: [conn.client_ip]}
              - {type: set-vars, config: {vars: [{who: "${req.headers['x'][0]} of ${ conn.client_ip }"}]}}
        """
    made = policy(document)
    monkeypatch.setattr(Expression, "evaluate", None)
    run = begin(made, known=facts(fields=[(b"x", b"b")]))
    assert run.step() == CONTINUE
    assert run.vars == {"who": "b of 192.0.2.1"}


def test_an_operator_who_sets_a_small_budget_gets_the_evaluator() -> None:
    assert quick_test("'x' in req.headers", PHASE, replace(DEFAULT_LIMITS, work=10)) is None
    many = " || ".join(["'x' in req.headers"] * (LOOKUPS + 1))
    assert quick_test(many, PHASE, DEFAULT_LIMITS) is None
    assert quick_text("req.method", PHASE, replace(DEFAULT_LIMITS, work=10)) is None


def test_what_is_no_expression_is_left_to_who_says_so() -> None:
    assert quick_test("req.method ==", PHASE, DEFAULT_LIMITS) is None
