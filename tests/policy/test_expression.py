"""Expressions: names, hybrid values, errors, budgets, and what the evaluator must never see."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from tests.kit.policy import NOW, expression, facts, value

from portway.policy.compiler import World
from portway.policy.expression import CompileError, EvaluationError, compile_expression
from portway.policy.facts import Response
from portway.policy.geo import Geo
from portway.policy.limits import PolicyLimits
from portway.policy.names import TERMINATED, names_of
from portway.policy.phase import Phase
from portway.policy.values import getters


@pytest.mark.row("P-06", "P-29")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("1 + 2 * 3", 7),
        ("'a' + \"b\" + r'\\d'", "ab\\d"),
        ("'''a\nb'''", "a\nb"),
        ("b'bytes'", b"bytes"),
        (
            "string(1u) + string(1.5) + string(duration('90s')) + string(timestamp('2024-07-13T00:10:16Z'))",
            "11.590s2024-07-13T00:10:16Z",
        ),
        ("1u + 2u", 3),
        ("1.5 * 2.0", 3.0),
        ("[1, 2][0]", 1),
        ("{'k': 'v'}['k']", "v"),
        ("{'k': 'v'}.k", "v"),
        ("null", None),
        ("true ? 'y' : 'n'", "y"),
        ("7 % 4", 3),
        ("!false && (1 < 2 || 1 / 0 > 1)", True),
        ("3 in [1, 2, 3]", True),
        ("[1, 2, 3].map(x, x * 2)", [2, 4, 6]),
        ("[1, 2, 3].map(x, x > 1, x * 2)", [4, 6]),
        ("[1, 2, 3].filter(x, x > 1)", [2, 3]),
        ("[1, 2].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x == 2)", True),
        ("{'a': 1, 'b': 2}.filter(k, k != 'a')", ["b"]),
        ("{'a': 1}.map(k, k + '!')", ["a!"]),
        ("string(1) + string(1.5) + string(true)", "11.5true"),
        ("int('5') + int(2.9)", 7),
        ("bool('true')", True),
        ("bytes('a')", b"a"),
        ("type(1) == int", True),
        ("dyn(1) == 1", True),
        ("matches('abc', 'b+')", True),
        ("'abc'.matches('^b')", False),
        ("'héllo'.size() + size([1])", 6),
        ("timestamp('2024-07-13T00:10:16Z').getHours('Europe/Berlin')", 2),
        ("timestamp('2024-07-13T00:10:16Z').getMonth()", 6),
        ("duration('1.234s').getMilliseconds()", 234),
        ("duration('90m').getHours()", 1),
        ("timestamp(time.now) > timestamp('2024-01-01T00:00:00Z')", True),
        ("time.now", "2024-07-13T00:10:16Z"),
        ("// a comment\n1", 1),
    ],
)
def test_the_language(source: str, wanted: object) -> None:
    """Literals, operators, conversions, macros, times, durations."""
    assert value(source) == wanted


def test_every_documented_variable_has_a_type_and_a_value() -> None:
    """206 names with the fields of cookies and of extensions; each can be named in its phase."""
    names = names_of(Phase.HTTP_RESPONSE)
    results = [name for name in names if name.startswith(TERMINATED)]
    assert len(names) - len(results) - 2 + 2 * 3 + 2 + 10 == 206
    known = facts(response=Response(200))
    for name in names:
        value(f"has({name}) || {name} == {name} || true", known, Phase.HTTP_RESPONSE, geo=lambda _: Geo())
    assert set(getters()) <= set(names)


@pytest.mark.row("P-07")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("req.url", "https://a.example/b/c?q=1&q=2&e="),
        ("req.url.contains('/b') && req.url.path.startsWith('/b')", True),
        ("req.url.query_params['q']", ["1", "2"]),
        ("conn.client_ip + '!'", "192.0.2.1!"),
        ("conn.client_ip.isPrivateIp()", False),
        ("req.user_agent.name + req.user_agent", "Firefoxx Firefox/130.0"),
        ("req.content_type + ' ' + req.content_type.raw", 'text/html text/HTML; Charset="utf-8"'),
        ("req.content_type.parameters['charset']", "utf-8"),
        ("conn.tls.client.subject == '' && conn.tls.client.subject.organization.size() == 0", True),
    ],
)
def test_hybrid_values(source: str, wanted: object) -> None:
    """A name is a text and has sub-names."""
    known = facts(
        "/b/c?q=1&q=2&e=",
        fields=[(b"User-Agent", b"x Firefox/130.0"), (b"Content-Type", b'text/HTML; Charset="utf-8"')],
    )
    assert value(source, known) == wanted


@pytest.mark.row("P-10", "P-31")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("req.headers['X-Key']", ["a", "b"]),
        ("req.headers['x-key'][0]", "a"),
        ("req.headers.accept", ["*/*"]),
        ("req.headers['nothing']", []),
        ("'a' in req.headers['nothing']", False),
        ("'X-KEY' in req.headers", True),
        ("'nothing' in req.headers", False),
        ("!('nothing' in req.headers) && 'x-key' in req.headers", True),
        ("'X-' + 'Key' in req.headers", True),
        ("has(req.headers['X-KEY']) && !has(req.headers['no'])", True),
        ("has(req.headers.accept)", True),
        ("getReqHeader('x-KEY').join(',')", "a,b"),
        ("hasReqHeader('tier')", False),
        ("req.headers.exists(k, k == 'x-key')", True),
        ("req.headers.map(k, req.headers[k][0]).size() == req.headers.size()", True),
        ("req.cookies['s'][0].value", "1"),
        ("req.cookies['s'].map(c, c.value)", ["1", "2"]),
        ("req.cookies['none'].size()", 0),
        ("getReqCookie('s').name", "s"),
        ("hasReqCookie('S')", False),
        ("has(req.cookies.s)", True),
        ("getQueryParam('q') == [] && !hasQueryParam('q')", True),
        ("req.trailers['x'].size()", 0),
        ("req.Headers['x-key'][0] + req.Method", "aGET"),
    ],
)
def test_headers_ignore_case_and_absence(source: str, wanted: object) -> None:
    """The spelling of before October 2024 too."""
    known = facts(
        fields=[(b"X-Key", b"a"), (b"x-key", b"b"), (b"Accept", b"*/*"), (b"Cookie", b"s=1; t=2; s=2")]
    )
    assert value(source, known) == wanted


@pytest.mark.row("P-12")
@pytest.mark.parametrize(
    "source",
    ["req.headers['none'][0]", "req.url.port", "actions.ngrok.x.y", "vars.x", "1 / 0", "getReqCookie('x')"],
)
def test_what_is_not_there_is_an_error_that_or_and_and_absorb(source: str) -> None:
    with pytest.raises(EvaluationError):
        value(source)
    assert value(f"true || dyn({source}) == 1") is True
    assert value(f"dyn({source}) == 1 || true") is True
    assert value(f"dyn({source}) == 1 && false") is False


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("has(req.url.port)", False),
        ("has(req.url.path)", True),
        ("has(vars.a.x.c) || has(vars.x.y)", False),
        ("has(vars.a.b)", True),
        ("has(vars['a']) && !has(vars['z'])", True),
        ("has({'a': 1}.a)", True),
        ("has(actions.ngrok.oauth.identity)", False),
        ("has(req.content_length) || has(req.ts.body_received)", False),
    ],
)
def test_has_never_fails(source: str, wanted: object) -> None:
    assert value(source, variables={"a": {"b": 1}}) is wanted


@pytest.mark.parametrize(
    ("source", "said", "offset"),
    [
        ("", "too early", 0),
        ("1 +", "too early", 3),
        ("1 + (2", "missing", 6),
        ("'a", "no end", 0),
        ("req.methd", "did you mean 'req.method'", 0),
        ("nothing == 1", "there is no variable 'nothing'", 0),
        ("req.headers['a'].includes('b')", "'contains'", 16),
        ("req.url.starts_with('/')", "'startsWith'", 7),
        ("hash.md4('x')", "did you mean 'hash.md5'", 0),
        ("var x", "reserved", 0),
        ("req.method = 1", "'==' compares", 11),
        ("{a: 1}", "needs quotes", 1),
        ("1;", "no place", 1),
        ("res.status_code == 1", "there is no res in on_http_request", 0),
        ("getResHeader('x') == []", "does not exist in on_http_request", 0),
        ("vars.?x", "optional values are not supported", 5),
        ("[?vars.x]", "optional values are not supported", 1),
        ("optional.of(1)", "there is no", 8),
        ("'a\\u0000b'", "NUL", 0),
        ("google.protobuf.Timestamp{seconds: 1}", "not expected", 25),
        ("`a`", "no place", 0),
        ("[1].map(req, req)", "cannot be bound", 8),
        ("[1].map(1, 2)", "map takes a name", 3),
        ("has(req)", "has() takes a field", 4),
        ("has([1][0])", "a key in quotes", 8),
        ("'a' + 1", "'+' does not take string and int", 4),
        ("{1.5: 1}", "Unsupported map key type", 0),
        ("req.method == 1", "'==' does not take string and int", 11),
        ("req.headers['x'] == 'a'", "'==' does not take list(string) and string", 17),
        ("conn.client_ip.geo.location.city == ''", "GeoIP database", 0),
        ("'proxy' in conn.client_ip.categories", "lists of addresses", 0),
        ("req.url.matches(r'(?=a)')", "not a regular expression", 16),
        ("matches(req.url, '(')", "not a regular expression", 17),
        ("portway_has('a', 'b')", "there is no function", 0),
        ("(" * 40 + "1" + ")" * 40, "nested too deeply", 24),
        ("!" * 20 + "true", "too many", 0),
        ("true" + "&&true" * 300, "operands in a row", 1540),
        ("1" + "+1" * 40, "nested too deeply", 0),
        ("vars" + ".a" * 300, "nested too deeply", 0),
        ("'a'" + ".lower()" * 300, "nested too deeply", 0),
        ("[1]" + ".map(x, x)" * 100, "nested too deeply", 0),
    ],
)
def test_mistakes_are_told_with_their_place(source: str, said: str, offset: int) -> None:
    with pytest.raises(CompileError) as caught:
        expression(source)
    assert said in caught.value.message
    assert caught.value.offset == offset


def test_an_error_of_the_evaluator_points_at_what_was_written() -> None:
    """Rewriting has moved the text; the position is the source's."""
    source = "req.headers['x'][0] == 'a' && has(req.url.port) && 1 + 'b' == 2"
    with pytest.raises(CompileError) as caught:
        expression(source)
    assert source[caught.value.offset] == "+"


def test_variables_of_loops_hide_nothing() -> None:
    assert value("[1].map(hash, hash + 1)") == [2]
    assert value("['a'].map(url, url + 'b')") == ["ab"]
    assert value("[{'x': 1}].map(m, m.x)") == [1]
    assert value("[{'x': 1}].exists(m, has(m.x))") is True


@pytest.mark.parametrize(
    "source",
    [
        "['a'].map(a, a + a)" + "".join(f".map(b{i}, b{i} + b{i})" for i in range(10)) + "[0] == ''",
        f"[{', '.join(['req.url'] * 100)}] == []",
        "[1, 2].map(a, [a, a, a, a].map(b, [b, b, b, b, b].map(c, [c, c, c, c, c, c]))) == []",
    ],
)
def test_what_could_grow_without_end_is_refused(source: str) -> None:
    """Unchecked, the first of these has filled 5 GB."""
    with pytest.raises(CompileError, match="times as large"):
        expression(source)


def test_steps_are_bounded_when_it_runs() -> None:
    with pytest.raises(EvaluationError, match=r"[Bb]udget"):
        value("vars.l.all(a, vars.l.all(b, b >= 0))", variables={"l": list(range(200))})
    with pytest.raises(EvaluationError, match="at most 1000"):
        value("lists.range(1001) == []")


@pytest.mark.row("P-08")
def test_work_is_bounded_when_it_runs() -> None:
    """Ten thousand steps may each cost a millisecond."""
    for source in (
        "lists.range(1000).map(a, lists.range(1000).size()).size() == 0",
        "lists.range(1000).all(a, !vars.long.matches('x+y'))",
        "lists.range(1000).all(a, hash.sha512(vars.long) != '')",
    ):
        with pytest.raises(EvaluationError, match="too much work"):
            value(source, variables={"long": "x" * 100_000})
    with pytest.raises(EvaluationError, match="loops over more than"):
        value("[1].all(a, !vars.long.contains('y'))", variables={"long": "x" * 200_000})
    assert value("vars.long.size()", variables={"long": "x" * 1_000_000}) == 1_000_000


def test_a_long_expression_is_refused() -> None:
    with pytest.raises(CompileError, match="longer than 10"):
        compile_expression("'" + "a" * 20 + "'", Phase.HTTP_REQUEST, PolicyLimits(expression=10), World())


def test_a_hostile_pattern_takes_linear_time() -> None:
    assert value("('a' + vars.a).matches('^(a+)+$')", variables={"a": "a" * 50_000 + "b"}) is False


@pytest.mark.row("P-22")
def test_cookies_of_a_response() -> None:
    """With their times, ordered by the length of their paths."""
    lines = [
        b"a=1; Path=/; Secure",
        b"a=2; Path=/deep; Expires=Sat, 13 Jul 2024 00:10:16 GMT; Max-Age=90; X=y",
    ]
    known = facts(response=Response(200, [(b"Set-Cookie", line) for line in lines]))
    for source in (
        "getResCookie('a').value == '2' && res.cookies['a'][1].value == '1'",
        "getResCookie('a').expires == timestamp('2024-07-13T00:10:16Z')",
        "res.cookies['a'][0].max_age == duration('90s') && !res.cookies['a'][0].secure",
        "res.cookies['a'].exists(c, has(c.expires) && c.expires < timestamp('2025-01-01T00:00:00Z'))",
        "!has(res.cookies['a'][1].expires) && getResCookie('a').unparsed_attributes['X'] == 'y'",
        "hasResCookie('a') && !hasResCookie('b') && res.cookies['a'].filter(c, c.secure).size() == 1",
    ):
        assert value(source, known, Phase.HTTP_RESPONSE) is True, source


def test_what_is_no_text_of_unicode_does_no_harm() -> None:
    known = facts("/%ff%00", fields=[(b"x", b"\xff\xfe"), (b"\xc3\xa9", b"1")])
    assert value("req.headers['x'][0].size()", known) == 2
    assert value("req.url.path.size()", known) == 3
    assert value("req.headers.size()", known) == 3


def test_a_text_is_not_cut_at_a_nul() -> None:
    """The evaluator takes a NUL for the end: ``/admin%00x`` would be ``/admin``."""
    known = facts("/admin%00x?a=1%002")
    assert value("req.url.path == '/admin'", known) is False
    assert value("req.url.path", known) == "/admin\ufffdx"
    assert value("getQueryParam('a')[0].size()", known) == 3
    assert value("req.url.query_params.a", known) == ["1\ufffd2"]
    assert value("vars.a[0].b", variables={"a": [{"b": "\0"}]}) == "\ufffd"
    assert value("base64.decode('AEE=')") == b"\0A"
    assert value("string(base64.decode('QQBB')).lower()") == "a\ufffda"
    assert value("string(vars.b).reverse()", variables={"b": b"a\0b"}) == "b\ufffda"


def test_only_named_variables_are_computed() -> None:
    made = expression("req.url.path == '/' && req.headers['a'] == [] && has(req.url.port)")
    assert made.names == ("req.url.path",)
    assert made.looked_up == {"req.url.path", "req.headers", "req.url.port"}


def test_values_keep_their_types() -> None:
    assert value("timestamp('2024-07-13T00:10:16Z')") == datetime(2024, 7, 13, 0, 10, 16, tzinfo=UTC)
    assert value("conn.ts.start") == datetime.fromtimestamp(NOW, UTC)
    assert value("duration(vars.d).getMinutes()", variables={"d": timedelta(minutes=90)}) == 90
    assert value("{1: [b'x', null, {'a': 1.5}]}") == {1: [b"x", None, {"a": 1.5}]}


def test_nothing_is_loaded_before_the_first_policy() -> None:
    """A service accepts agents within a second: its worker imports neither the engine nor the evaluator."""
    program = """
import sys
def loaded(*names): return [name for name in names if name in sys.modules]
import portway.server.worker
print(loaded("portway.policy.engine", "portway.policy.expression", "cel_expr_python"))
import portway.policy.compiler
print(loaded("cel_expr_python", "re2", "ruamel.yaml", "cryptography.x509") )
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "[]"
    assert "cel" not in second
    assert "re2" not in second
