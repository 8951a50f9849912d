"""add-headers and remove-headers: what they do."""

import pytest
from tests.kit.policy import begin, facts, policy

from portway.policy.verdict import CONTINUE


@pytest.mark.row("P-36")
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
