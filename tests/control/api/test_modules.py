"""Modules in requests and answers: what is kept, and how it is shown."""

from typing import Any

import pytest

from portway.control.api.modules import GIVEN, SHOWN, OauthGiven, backend_ref, kept, show

API = "http://api.example"


def test_what_is_kept_is_what_was_given_and_whether_it_is_on() -> None:
    given = OauthGiven.model_validate({"provider": {"google": {"client_id": "c"}}, "enabled": None})
    assert kept(given) == {"provider": {"google": {"client_id": "c"}}, "enabled": True}
    assert kept(GIVEN["compression"].model_validate({"enabled": False})) == {"enabled": False}


@pytest.mark.parametrize("name", sorted(set(GIVEN) - {"backend"}))
def test_every_field_is_shown_empty_where_nothing_was_given(name: str) -> None:
    module: dict[str, Any] = {"enabled": True}
    if name == "oauth":
        module["provider"] = {}
    shown = show(API, name, module, SHOWN[name]).model_dump()
    assert shown["enabled"] is True
    assert set(shown) == set(SHOWN[name].model_fields)
    wanted = {"oauth": "ngrok.", "oidc": "ngrok.", "saml": "ngrok."}
    assert shown.get("cookie_prefix", "") == wanted.get(name, "")


def test_identifiers_become_references() -> None:
    module = {"enabled": True, "backend_id": "bkdwd_1"}
    shown = show(API, "backend", module, SHOWN["backend"]).model_dump()
    assert shown["backend"] == {"id": "bkdwd_1", "uri": f"{API}/backends/weighted/bkdwd_1"}
    assert backend_ref(API, "bkdsc_1").uri == f"{API}/backends/static/bkdsc_1"
    module = {"enabled": True, "ip_policy_ids": ["ipp_1"]}
    shown = show(API, "ip_restriction", module, SHOWN["ip_restriction"]).model_dump()
    assert shown["ip_policies"] == [{"id": "ipp_1", "uri": f"{API}/ip_policies/ipp_1"}]


def test_one_provider_is_shown_and_the_others_are_null() -> None:
    module = {"enabled": True, "provider": {"github": {"client_id": "c", "teams": ["a/b"]}}}
    provider = show(API, "oauth", module, SHOWN["oauth"]).model_dump()["provider"]
    assert provider.pop("github") == {
        "client_id": "c", "client_secret": None, "scopes": [], "email_addresses": [], "email_domains": [],
        "teams": ["a/b"], "organizations": [],
    }  # fmt: skip
    assert set(provider.values()) == {None}
