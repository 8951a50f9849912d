"""Rewriting: the text that the evaluator gets, and where its pieces come from."""

import pytest

from portway.policy.phase import Phase
from portway.policy.rewrite import Rewritten, rewrite
from portway.policy.syntax import parse_expression


def made(source: str) -> Rewritten:
    """Rewrite an expression of the response phase."""
    return rewrite(source, parse_expression(source, 24), Phase.HTTP_RESPONSE)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("1 + vars.a", "1 + vars.a"),
        ("req.headers['A']", "portway_values('req.headers', 'A')"),
        ("req.headers.a[0]", "portway_values('req.headers', 'a')[0]"),
        ("res.cookies[vars.k]", "portway_cookies('res.cookies', vars.k)"),
        ("!('A' in req.headers)", "!(portway_has('req.headers', 'A'))"),
        ("1 == 1 && 'a' in req.headers", "1 == 1 && portway_has('req.headers', 'a')"),
        ("'a' in vars.list", "'a' in vars.list"),
        ("has(req.url.port)", "portway_present('req.url.port')"),
        ("has(vars.a)", "(has(vars.a))"),
        ("has(vars.a.b)", "(has(vars.a) && has(vars.a.b))"),
        ("has(vars['a'])", "('a' in vars)"),
        ("vars.l.sortBy(x, x.n)", "portway_sort_by(vars.l, vars.l.map(x, x.n))"),
        ("vars.l.map(x, req.headers[x])", "vars.l.map(x, portway_values('req.headers', x))"),
        ("vars.l.exists(m, m.a == 1)", "vars.l.exists(m, m.a == 1)"),
        ("res.StatusCode == 200", "res.status_code == 200"),
        ("getResCookie('a').expires", "timestamp(getResCookie('a').expires)"),
        ("has(getResCookie('a').expires)", "(has(getResCookie('a').expires))"),
        ("vars.expires", "vars.expires"),
        (
            "matches(vars.b, 'x') || vars.c.matches('y')",
            "portway_matches(vars.b, 'x') || portway_matches(vars.c, 'y')",
        ),
        ("string(vars.b)", "string(portway_text(vars.b))"),
        ("hash.md5( 'x' )", "hash.md5( 'x' )"),
        ("req . url . path", "req.url.path"),
        ("type(1) == int", "type(1) == int"),
    ],
)
def test_texts(source: str, wanted: str) -> None:
    assert made(source).text == wanted


def test_names_are_collected() -> None:
    found = made("req.url.path == vars.p && has(conn.client_port) && req.headers['a'] == []")
    assert found.names == {"req.url.path", "vars"}
    assert found.looked_up == {"req.url.path", "vars", "conn.client_port", "req.headers"}


def test_every_position_has_its_origin() -> None:
    source = "has(req.url.port) && 'X' in req.headers && 1 + 'a' == 2"
    found = made(source)
    at = found.text.index("1 + 'a'")
    assert source[found.origin(at) :].startswith("1 + 'a'")
    assert found.origin(10_000) == len(source)
