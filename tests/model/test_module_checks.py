"""What a module may not say, each with its code."""

from typing import Any

import pytest
from tests.kit.names import refused

from portway.model.module_checks import check_logins, check_module, check_together

WRONG: list[tuple[str, str, dict[str, Any], int]] = [
    ("backend", "tcp", {}, 6514),
    ("ip_restriction", "tcp", {}, 7025),
    ("ip_restriction", "tcp", {"ip_policy_ids": ["ipp_1"] * 11}, 7013),
    ("mutual_tls", "tls", {}, 7072),
    ("mutual_tls", "tls", {"certificate_authority_ids": ["ca_1"] * 101}, 7075),
    ("tls_termination", "https", {"terminate_at": "edge"}, 7109),
    ("tls_termination", "tls", {"terminate_at": "agent"}, 7002),
    ("tls_termination", "tls", {"min_version": "1.1"}, 7002),
    ("tls_termination", "tls", {"terminate_at": "upstream", "min_version": "1.2"}, 7032),
    ("circuit_breaker", "route", {"error_threshold_percentage": 1.5}, 7011),
    ("circuit_breaker", "route", {"tripped_duration": -1}, 7016),
    ("circuit_breaker", "route", {"rolling_window": -1}, 7017),
    ("circuit_breaker", "route", {"num_buckets": 129}, 7018),
    ("request_headers", "route", {"add": {f"x-{n}": "v" for n in range(6)}}, 7015),
    ("request_headers", "route", {"remove": ["x" * 129]}, 7105),
    ("request_headers", "route", {"add": {"a b": "v"}}, 7023),
    ("response_headers", "route", {"add": {"a": "v" * 1025}}, 7106),
    ("response_headers", "route", {"add": {"a": "v\r\nb: c"}}, 7024),
    ("response_headers", "route", {"add": {"a": "1", "A": "2"}}, 7069),
    ("request_headers", "route", {"remove": ["Host"]}, 7164),
    ("webhook_verification", "route", {}, 7029),
    ("webhook_verification", "route", {"provider": "sns", "secret": "s"}, 7026),
    ("webhook_verification", "route", {"provider": "github"}, 7027),
    ("webhook_verification", "route", {"provider": "github", "secret": "s" * 1025}, 7154),
    ("user_agent_filter", "route", {"allow": ["("]}, 2090),
    ("saml", "route", {"idp_metadata": "<x/>"}, 2201),
]


@pytest.mark.parametrize(("name", "form", "module", "code"), WRONG)
def test_refusals_have_their_codes(name: str, form: str, module: dict[str, Any], code: int) -> None:
    with refused(code):
        check_module(name, module, form)


@pytest.mark.parametrize(
    ("name", "form", "module"),
    [
        ("compression", "route", {}),
        ("circuit_breaker", "route", {"num_buckets": 0, "tripped_duration": 0}),
        ("webhook_verification", "route", {"provider": "sns"}),
        ("request_headers", "route", {"add": {"host": "a"}, "remove": ["host"]}),
        ("tls_termination", "tls", {"terminate_at": "", "min_version": ""}),
    ],
)
def test_placeholders_say_nothing(name: str, form: str, module: dict[str, Any]) -> None:
    check_module(name, module, form)


def test_modules_that_do_not_go_together() -> None:
    with refused(7079):
        check_logins({"oauth": {}, "oidc": {}})
    with refused(7062):
        check_together("tls", {"mutual_tls": {}})
    with refused(7062):
        check_together("tls", {"mutual_tls": {}, "tls_termination": {"terminate_at": "upstream"}})
    check_together("tls", {"mutual_tls": {}, "tls_termination": {}})
    check_together("https", {"mutual_tls": {}})
