"""Which service an agent connects to, and what it sends there."""

import json
from pathlib import Path

import pytest

from portway.agent.discovery import Service, discover, find_proxy, token_from_env
from portway.agent.options import AgentOptions
from portway.errors import ConfigError
from portway.net.proxy_url import Proxy


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


# -- the proxy

BOTH = {"PORTWAY_PROXY_URL": "socks5://ours.test", "http_proxy": "http://theirs.test:3128"}
OURS, THEIRS = Proxy("socks5", "ours.test", 1080), Proxy("http", "theirs.test", 3128)


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize(
    ("option", "environ", "found"),
    [
        (None, {}, None),
        ("https://mine.test", BOTH, Proxy("https", "mine.test", 443)),
        ("", BOTH, None),
        (None, BOTH, OURS),
        (None, BOTH | {"PORTWAY_PROXY_URL": ""}, THEIRS),
        (None, {"http_proxy": ""}, None),
        (None, {"HTTP_PROXY": "http://cgi.test", "https_proxy": "http://x.test", "all_proxy": "x"}, None),
    ],
)
def test_where_the_proxy_comes_from(option: str | None, environ: dict[str, str], found: Proxy | None) -> None:
    options = AgentOptions(connect_url="a.example:1", proxy_url=option)
    assert discover(options, environ, NOWHERE).proxy == found


@pytest.mark.row("A18")
@pytest.mark.parametrize("host", ["localhost", "a.LOCALHOST.", "127.0.0.1", "127.8.8.8", "::1"])
def test_http_proxy_is_not_for_this_machine(host: str) -> None:
    assert find_proxy(AgentOptions(), {"http_proxy": "nonsense"}, host) is None
    assert find_proxy(AgentOptions(), BOTH, host) == OURS
    assert find_proxy(AgentOptions(proxy_url="http://theirs.test:3128"), {}, host) == THEIRS


@pytest.mark.parametrize("host", ["localhost.example", "192.0.2.1", "128.0.0.1", "fe80::1"])
def test_http_proxy_is_for_the_world(host: str) -> None:
    assert find_proxy(AgentOptions(), {"http_proxy": "http://theirs.test:3128"}, host) == THEIRS


@pytest.mark.row("A18", "G-063")
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_http_proxy_is_not_for_whom_no_proxy_names(name: str) -> None:
    environ = {"http_proxy": "http://theirs.test:3128", name: "corp.test,10.0.0.0/8"}
    assert find_proxy(AgentOptions(), environ, "portway.corp.test") is None
    assert find_proxy(AgentOptions(), environ, "10.1.1.1") is None
    assert find_proxy(AgentOptions(), environ, "a.test") == THEIRS
    assert find_proxy(AgentOptions(), BOTH | environ, "10.1.1.1") == OURS, "what is ours is for all"


@pytest.mark.parametrize("name", ["http_proxy", "PORTWAY_PROXY_URL"])
@pytest.mark.parametrize("value", ["theirs.test:3128", "ann:secret@theirs.test", "gopher://ann:secret@x"])
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        discover(AgentOptions(connect_url="a.example:1"), {name: value}, NOWHERE)
    assert "secret" not in str(caught.value)
    assert "http" in str(caught.value)


def test_a_service_shows_no_login() -> None:
    options = AgentOptions(connect_url="a.example:1", proxy_url="http://ann:secret@theirs.test")
    assert "secret" not in f"{options} {discover(options, {}, NOWHERE)!r}"


@pytest.mark.row("T-034")
@pytest.mark.parametrize(
    ("host", "region", "expected"),
    [
        ("connect.example.com", "eu", "connect.eu.example.com"),
        ("connect.example.com", "", "connect.example.com"),
        ("localhost", "eu", "localhost"),
        ("127.0.0.1", "eu", "127.0.0.1"),
    ],
)
def test_the_address_of_a_region(host: str, region: str, expected: str, tmp_path: Path) -> None:
    options = AgentOptions(connect_url=f"{host}:443", region=region)
    assert discover(options, {}, tmp_path / "none").host == expected
