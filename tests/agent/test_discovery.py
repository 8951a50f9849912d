"""Which service an agent connects to, and what it sends there."""

import json
from pathlib import Path

import pytest

from portway.agent.discovery import Service, discover, token_from_env
from portway.agent.options import AgentOptions
from portway.errors import ConfigError


@pytest.fixture
def bootstrap(tmp_path: Path) -> Path:
    path = tmp_path / "bootstrap.json"
    path.write_text(
        json.dumps(
            {
                "authtoken": "boot-token",
                "api_key": None,
                "ca_cert": "/data/ca.pem",
                "connect_url": "127.0.0.1:4443",
            }
        )
    )
    return path


NOWHERE = Path("/nonexistent/bootstrap.json")


def test_an_option_is_first(bootstrap: Path) -> None:
    options = AgentOptions(authtoken="t", connect_url="a.example:1", connect_cas="/ca")
    environ = {
        "PORTWAY_CONNECT_URL": "b.example:2",
        "PORTWAY_AUTHTOKEN": "u",
        "PORTWAY_CONNECT_CAS": "/other",
    }
    assert discover(options, environ, bootstrap) == Service("a.example", 1, "t", "/ca")


@pytest.mark.row("G-007", "G-030")
def test_then_the_environment(bootstrap: Path) -> None:
    environ = {
        "PORTWAY_CONNECT_URL": "b.example:2",
        "PORTWAY_AUTHTOKEN": "u",
        "NGROK_AUTHTOKEN": "v",
        "PORTWAY_CONNECT_CAS": "/other",
    }
    assert discover(AgentOptions(), environ, bootstrap) == Service("b.example", 2, "u", "/other")
    del environ["PORTWAY_AUTHTOKEN"]
    assert discover(AgentOptions(), environ, bootstrap).authtoken == "v"


def test_then_the_service_of_the_same_user(bootstrap: Path) -> None:
    found = discover(AgentOptions(), {}, bootstrap)
    assert found == Service("127.0.0.1", 4443, "boot-token", "/data/ca.pem")


def test_an_empty_variable_counts_as_unset(bootstrap: Path) -> None:
    environ = {"PORTWAY_CONNECT_URL": "", "PORTWAY_AUTHTOKEN": "", "NGROK_AUTHTOKEN": ""}
    assert discover(AgentOptions(), environ, bootstrap).authtoken == "boot-token"


@pytest.mark.parametrize("address", ["elsewhere.example:4443", "127.0.0.1:4444"])
def test_secrets_of_one_service_never_reach_another(bootstrap: Path, address: str) -> None:
    found = discover(AgentOptions(connect_url=address), {}, bootstrap)
    assert (found.authtoken, found.cas) == ("", None)


def test_loopback_has_several_names(bootstrap: Path) -> None:
    found = discover(AgentOptions(connect_url="localhost:4443"), {}, bootstrap)
    assert (found.host, found.authtoken, found.cas) == ("localhost", "boot-token", "/data/ca.pem")


@pytest.mark.row("G-007")
def test_no_token_at_all_is_for_the_service_to_refuse() -> None:
    found = discover(AgentOptions(connect_url="a.example:1"), {}, NOWHERE)
    assert found.authtoken == ""


def test_an_empty_token_is_a_token(bootstrap: Path) -> None:
    environ = {"PORTWAY_AUTHTOKEN": "u"}
    assert discover(AgentOptions(authtoken=""), environ, bootstrap).authtoken == ""


def test_without_an_address_the_error_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="PORTWAY_CONNECT_URL") as caught:
        discover(AgentOptions(), {}, NOWHERE)
    assert "portway serve" in str(caught.value)


@pytest.mark.row("G-051")
def test_a_connect_url_without_a_port() -> None:
    assert discover(AgentOptions(connect_url="a.example"), {}, NOWHERE).port == 443
    assert discover(AgentOptions(connect_url="[::1]:5"), {}, NOWHERE).host == "::1"


def test_the_authorities_of_this_machine_have_a_word() -> None:
    assert discover(AgentOptions(connect_url="a:1", connect_cas="host"), {}, NOWHERE).cas is None


@pytest.mark.parametrize("text", ["{", "[]", "null", "\x00"])
def test_an_unreadable_bootstrap_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bootstrap.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bootstrap\.json"):
        discover(AgentOptions(), {}, path)


def test_the_token_is_not_shown(bootstrap: Path) -> None:
    assert "boot-token" not in repr(discover(AgentOptions(), {}, bootstrap))


def test_the_token_of_the_environment_alone() -> None:
    assert token_from_env({"PORTWAY_AUTHTOKEN": "u", "NGROK_AUTHTOKEN": "v"}) == "u"
    assert token_from_env({"NGROK_AUTHTOKEN": "v"}) == "v"
    assert token_from_env({}) == ""
