"""Modules of edges as rules of a policy: each compiled, in the order of the table."""

from typing import Any

import pytest
from tests.kit.names import refused

from portway.codec.document import Node
from portway.model.modules import read
from portway.policy.modules import document_of


def rules(form: str = "https", **modules: Any) -> dict[str, list[tuple[str, list[str]]]]:
    """Return by phase the name and the actions of each rule."""
    document = document_of(read(modules, form), form)
    assert isinstance(document, Node)
    return {
        phase: [
            (
                str(rule.entries["name"].scalar) if "name" in rule.entries else "",
                [str(action.entries["type"].scalar) for action in rule.entries["actions"].items],
            )
            for rule in node.items
        ]
        for phase, node in document.entries.items()
    }


def test_modules_run_in_order_before_the_policy() -> None:
    made = rules(
        traffic_policy={"value": "on_http_request: [{name: own, actions: [{type: deny}]}]"},
        compression={},
        request_headers={"add": {"x-a": "b"}, "remove": ["x-c"]},
        response_headers={"add": {"x-d": "e"}},
        circuit_breaker={"error_threshold_percentage": 0.2, "rolling_window": 5, "volume_threshold": 3},
        webhook_verification={"provider": "github", "secret": "a${b}"},
        oidc={"issuer": "https://i", "client_id": "c", "client_secret": "s", "maximum_duration": 60},
        user_agent_filter={"allow": ["a"], "deny": []},
        ip_restriction={"ip_policy_ids": ["ipp_1"]},
    )
    assert made == {
        "on_http_request": [
            ("ip_restriction", ["restrict-ips"]),
            ("user_agent_filter", ["user-agent-filter"]),
            ("oidc", ["openid-connect"]),
            ("webhook_verification", ["verify-webhook"]),
            ("circuit_breaker", ["circuit-breaker"]),
            ("request_headers", ["remove-headers", "add-headers"]),
            ("own", ["deny"]),
        ],
        "on_http_response": [("response_headers", ["add-headers"]), ("compression", ["compress-response"])],
    }


def test_an_oauth_module_lets_in_whom_it_names() -> None:
    made = rules(
        oauth={
            "provider": {"google": {"email_addresses": ["a@b.c"], "email_domains": ["d.e"]}, "github": None},
            "inactivity_timeout": 5,
            "options_passthrough": True,
        },
        websocket_tcp_converter={},
    )
    assert made == {
        "on_http_request": [
            ("oauth", ["oauth"]), ("oauth members", ["deny"]),
            ("websocket_tcp_converter", ["websocket-tcp-converter"]),
        ],
    }  # fmt: skip
    assert rules(oauth={"provider": {"google": {}}}) == {"on_http_request": [("oauth", ["oauth"])]}
    with refused(2201):
        rules(oauth={"provider": {"github": {"teams": ["a/b"]}}})


def test_addresses_of_other_edges_are_judged_when_they_connect() -> None:
    made = rules("tcp", ip_restriction={"ip_policy_ids": ["ipp_1"]})
    assert made == {"on_tcp_connect": [("ip_restriction", ["restrict-ips"])]}
    with refused(7021):
        rules("tcp", compression={})


@pytest.mark.parametrize("modules", [{}, {"traffic_policy": {"value": " {} "}}, {"request_headers": {}}])
def test_modules_that_say_nothing_make_nothing(modules: dict[str, Any]) -> None:
    assert document_of(read(modules, "https"), "https") == ""


def test_saml_is_refused() -> None:
    with refused(2201):
        rules(saml={"idp_metadata": "<x/>"})


def test_texts_of_modules_are_no_expressions() -> None:
    login = {"client_id": "i${1}", "client_secret": "s${secrets.get('v', 'n')}"}
    for modules in (
        {"oidc": {"issuer": "https://i", **login}},
        {"oauth": {"provider": {"google": {**login, "email_addresses": ["\U0001f600@b.c"]}}}},
    ):
        document = document_of(read(modules, "https"), "https")
        assert isinstance(document, Node)
        rules_of = document.entries["on_http_request"].items
        config = rules_of[0].entries["actions"].items[0].entries["config"].entries
        assert config["client_id"].scalar == "i$${1}"
        assert config["client_secret"].scalar == "s$${secrets.get('v', 'n')}"
        for each in rules_of[1:]:
            (expression,) = each.entries["expressions"].items
            assert '"\U0001f600@b.c"' in str(expression.scalar)
