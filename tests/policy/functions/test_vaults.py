"""Tests of secrets.get."""

from random import Random

from tests.kit.policy import NOW, codes, facts, policy

from portway.policy.phase import Phase
from portway.policy.verdict import Respond

TEXT = """
on_http_request:
  - actions:
      - type: custom-response
        config: {body: "${secrets.get('prod', 'key')}"}
"""


def answer(secrets: dict[tuple[str, str], str] | None) -> Respond:
    run = policy(TEXT).begin(
        Phase.HTTP_REQUEST, facts(), {}, now=NOW, monotonic=NOW, random=Random(1),
        secrets=None if secrets is None else lambda vault, name: secrets.get((vault, name)),
    )  # fmt: skip
    verdict = run.step()
    assert isinstance(verdict, Respond)
    return verdict


def test_a_secret_is_read_where_expressions_are() -> None:
    assert answer({("prod", "key"): "value"}).body == b"value"


def test_a_secret_that_is_not_there_is_an_error() -> None:
    assert answer({}).code == 2238
    assert answer(None).code == 2238


def test_it_wants_two_texts() -> None:
    assert codes(TEXT.replace("'prod', 'key'", "'prod'")) == [2224]
    assert codes(TEXT.replace("'prod', 'key'", "'prod', 5")) == [2224]
    assert codes(TEXT) == []
