"""The table of action types."""

import pytest
from tests.kit.policy import policy

from portway.policy.actions import ALIASES, NOT_BUILT, ActionType, table
from portway.policy.phase import PHASES, Phase
from portway.policy.problem import PolicyError

DOCUMENTED = """
    add-headers basic-auth circuit-breaker close-connection compress-response custom-response deny
    forward-internal http-request jwt-validation log oauth openid-connect owasp-crs-request
    owasp-crs-response rate-limit redirect remove-headers request-body-find-replace
    response-body-find-replace restrict-ips set-vars sse-find-replace terminate-tls url-rewrite
    verify-webhook ai-gateway saml
"""


def test_every_documented_type_is_built_or_refused() -> None:
    built = set(table())
    assert not built & set(NOT_BUILT)
    assert set(DOCUMENTED.split()) <= built | set(NOT_BUILT)
    assert all(name in DOCUMENTED.split() for name in ALIASES.values())


@pytest.mark.row("P-58", "P-59")
@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_is_not_built_is_refused_by_name(name: str) -> None:
    """Whatever it says of itself: skipped, it would let through what it was to guard."""
    with pytest.raises(PolicyError) as refused:
        policy(f"on_http_request: [{{actions: [{{type: {name}, config: {{on_error: continue}}}}]}}]")
    (problem,) = refused.value.problems
    assert problem.code == 2201
    assert name in problem.message


@pytest.mark.parametrize("kind", table().values(), ids=lambda kind: kind.name)
def test_every_type_can_stand_somewhere(kind: ActionType) -> None:
    assert any(kind.phases & PHASES[protocol] for protocol in kind.protocols)
    assert kind.phases <= set(Phase)
