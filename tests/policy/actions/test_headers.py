"""add-headers and remove-headers: what is accepted, what is refused with which code, and what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.verdict import CONTINUE

GOOD = [
    ("add-headers", "headers: {x-a: 1, x-b: true, X-C: '${req.method}'}", "on_http_request"),
    ("remove-headers", "headers: [X-A, server]", "on_http_response"),
]

BAD = [
    ("add-headers", "{}", "on_http_request", 2234),
    ("add-headers", "headers: {}", "on_http_request", 2223),
    ("add-headers", f"headers: {{{', '.join(f'x-{n}: y' for n in range(11))}}}", "on_http_request", 2212),
    ("add-headers", "headers: {user-agent: x}", "on_http_request", 2210),
    ("add-headers", "headers: {content-length: 3}", "on_http_request", 2210),
    ("add-headers", "headers: {ngrok-error-code: x}", "on_http_request", 2210),
    ("add-headers", "headers: {'a b': x}", "on_http_request", 2210),
    ("add-headers", "headers: {%s: x}" % ("a" * 300), "on_http_request", 2208),
    ("add-headers", "headers: {a: %s}" % ("x" * 9000), "on_http_request", 2209),
    ("add-headers", 'headers: {a: "x\\ny"}', "on_http_request", 2211),
    ("add-headers", "headers: {a: '${nothing.here}'}", "on_http_request", 2213),
    ("add-headers", "headers: {a: b}\nmore: 1", "on_http_request", 2203),
    ("remove-headers", "headers: [User-Agent]", "on_http_request", 2210),
    ("remove-headers", "headers: [host]", "on_http_request", 2210),
    ("remove-headers", "headers: [transfer-encoding]", "on_http_request", 2210),
]


@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]


def test_fields_are_appended_removed_and_told() -> None:
    text = """
on_http_request:
  - actions:
      - type: remove-headers
        config: {headers: [X-A, gone]}
      - type: add-headers
        config:
          headers: {X-A: "${req.url.query_params['q'][0]}", x-b: "${req.method}", host: other.example}
"""
    run = begin(
        policy(text),
        known=facts("/?q=1%0A2", fields=[(b"x-a", b"old"), (b"X-a", b"older"), (b"x-b", b"kept")]),
    )
    assert run.step() == CONTINUE
    assert run.request.get(b"x-a") == [b"1 2"]
    assert run.request.get(b"x-b") == [b"kept", b"GET"]
    assert run.request.get(b"host") == [b"other.example"]
    assert run.facts.results == {
        "remove_headers": {"headers_removed": ["x-a"]},
        "add_headers": {"headers_added": {"x-a": "1 2", "x-b": "GET", "host": "other.example"}},
    }
