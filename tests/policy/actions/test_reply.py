"""deny, close-connection and custom-response: what they do."""

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, codes, policy

from portway.policy.verdict import CONTINUE, Respond


def test_a_body_where_none_is_allowed_is_an_error() -> None:
    verdict = begin(policy(action("custom-response", "status_code: 204\nbody: ${'x'}"))).step()
    assert isinstance(verdict, Respond)
    assert (verdict.status, verdict.code) == (500, 3604)
    assert begin(policy(action("custom-response", "status_code: 204"))).step() == Respond(204, final=False)


@pytest.mark.parametrize(
    "kind", ["deny", "close-connection", "custom-response", "redirect", "forward-internal"]
)
def test_what_ends_a_request_ends_its_rule(kind: str) -> None:
    config = {"redirect": "{to: /x}", "forward-internal": "{url: 'http://a.internal'}"}.get(kind, "{}")
    text = f"on_http_request: [{{actions: [{{type: {kind}, config: {config}}}, {{type: deny}}]}}]"
    assert codes(text) == [2207]


def test_an_answer_that_refuses_fails_closed() -> None:
    for status, closed in ((200, False), (403, True)):
        rule = action("custom-response", f"status_code: {status}")
        when = "  - expressions: [\"req.headers['x'][0] == ''\"]\n    actions:"
        verdict = begin(policy(rule.replace("  - actions:", when))).step()
        assert (verdict != CONTINUE) == closed
