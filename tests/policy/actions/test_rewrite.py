"""redirect and url-rewrite: what they do."""

from typing import Any

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.verdict import CONTINUE, Respond


@pytest.mark.row("P-42")
@pytest.mark.parametrize(
    ("config", "target", "expected"),
    [
        ("to: https://b.example/x", "/a", "https://b.example/x"),
        ("to: /x", "/a?b", "https://a.example/x"),
        (
            "from: '^https://([^/]+)/old(.*)$'\nto: 'https://$1/new$2'",
            "/old/a?b=1",
            "https://a.example/new/a?b=1",
        ),
        ("from: /nothing\nto: x", "/a", None),
        ("from: /a\nto: /a", "/a", None),
        ("from: '/a$'\nto: '/${\"zü rich\\nx\"}'", "/a", "https://a.example/z%C3%BC%20rich%0Ax"),
        ("from: '(?P<n>a+)'\nto: '<$n>'", "/aa/b", "https://%3Ca%3E.ex%3Ca%3Emple/%3Caa%3E/b"),
    ],
)
def test_redirects(config: str, target: str, expected: str | None) -> None:
    run = begin(policy(action("redirect", config)), known=facts(target))
    verdict = run.step()
    results: Any = run.facts.results["redirect"]
    if expected is None:
        assert verdict == CONTINUE
        return
    assert isinstance(verdict, Respond)
    assert (verdict.status, dict(verdict.headers)[b"location"].decode()) == (302, expected)
    assert results["url"] == expected


@pytest.mark.row("P-42")
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("from: /a/(.)\nto: '/x/$1'", "/x/b?c=/x/d"),
        ("from: '\\?.*'\nto: ''", None),
        ("from: '\\?.*'\nto: '?n=1'", "/a/b?n=1"),
        ("from: '^https://a.example'\nto: http://other.example:99", "/a/b?c=/a/d"),
        ("from: '^.*$'\nto: 'https://x'", "/"),
    ],
)
def test_rewrites_change_path_and_query(config: str, expected: str | None) -> None:
    text = action("url-rewrite", config)
    if expected is None:
        assert codes(text) == [2223]
        return
    run = begin(policy(text), known=facts("/a/b?c=/a/d"))
    assert run.step() == CONTINUE
    assert run.request.target == expected
    assert run.request.edited == (expected != "/a/b?c=/a/d")


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ("from: '^'\nto: 'ftp:'", 2247),
        ("from: '${\"(\"}'\nto: x", 2261),
        ("from: '.'\nto: '%s'" % ("x" * 500), 2247),
    ],
)
def test_what_is_no_url_any_more_is_an_error(config: str, code: int) -> None:
    verdict = begin(policy(action("url-rewrite", config)), known=facts("/aaaaaaaaaaaaaaaaaaaaaa")).step()
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, code)
