"""What an agent and an endpoint say to the service."""

import json
import os
from datetime import timedelta

import pytest

from portway.agent.options import (
    AgentOptions,
    ClientInfo,
    app_address,
    endpoint_options,
    seconds,
)
from portway.agent.upstream import ProxyProtocol
from portway.agent.version import own_version
from portway.errors import ConfigError, Error
from portway.wire.messages import encode


@pytest.mark.row("A4")
def test_auth_has_every_field_in_the_go_spelling() -> None:
    said = json.loads(encode(AgentOptions().auth("token")))
    assert said["Version"] == ["3", "2"]
    assert said["ClientId"] == ""
    extra = said["Extra"]
    assert set(extra) >= {
        *("OS", "Arch", "Authtoken", "Version", "Hostname", "UserAgent", "Metadata", "Cookie"),
        *("HeartbeatInterval", "HeartbeatTolerance", "Fingerprint", "UpdateUnsupportedError"),
        *("StopUnsupportedError", "RestartUnsupportedError", "ProxyType", "MutualTLS", "ServiceRun"),
        *("ConfigVersion", "CustomInterface", "CustomCAs", "ClientType", "LegNumber"),
    }
    assert extra["Authtoken"] == "token"
    assert extra["HeartbeatInterval"] == 10_000_000_000
    assert extra["HeartbeatTolerance"] == 15_000_000_000
    assert extra["Hostname"] == ""
    assert extra["OS"] in ("linux", "darwin", "windows", "freebsd")
    assert "x86_64" not in extra["Arch"]


def test_commands_are_declared_unsupported_with_a_text() -> None:
    extra = AgentOptions().auth("").extra
    for text in (
        extra.stop_unsupported_error,
        extra.restart_unsupported_error,
        extra.update_unsupported_error,
    ):
        assert text == "the agent has not defined a callback for this operation"


@pytest.mark.row("G-024", "G-056")
def test_the_user_agent_names_programs_outermost_first_and_ourselves_last() -> None:
    options = AgentOptions(
        client_info=(ClientInfo("my app/x", "1.2.3", "one", "two"), ClientInfo("lib", "4"))
    )
    extra = options.auth("").extra
    assert extra.user_agent == f"my#app-x/1.2.3 (one; two) lib/4 portway/{own_version()}"
    assert extra.client_type == "my app/x"
    assert extra.version == "1.2.3"


@pytest.mark.row("G-056")
def test_comments_go_as_they_are() -> None:
    assert str(ClientInfo("a", "1", "stray )")) == "a/1 (stray ))"


@pytest.mark.row("G-053")
def test_description_and_metadata_are_said() -> None:
    extra = AgentOptions(metadata="m", description="d").auth("").extra
    assert (extra.metadata, extra.description) == ("m", "d")


@pytest.mark.row("A9")
def test_a_session_is_resumed_by_id_and_cookie() -> None:
    auth = AgentOptions().auth("t", "id", "cookie")
    assert (auth.client_id, auth.extra.cookie) == ("id", "cookie")


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(AgentOptions(authtoken="secret"))


@pytest.mark.row("G-059", "G-060")
@pytest.mark.parametrize(("value", "expected"), [(0, 10.0), (0.2, 0.2), (timedelta(seconds=3), 3.0)])
def test_durations(value: float | timedelta, expected: float) -> None:
    assert seconds(value, 10.0, "x") == expected


@pytest.mark.parametrize("value", [-1, 86_401, float("nan"), float("inf")])
def test_impossible_durations_name_the_option(value: float) -> None:
    with pytest.raises(ConfigError, match="heartbeat_interval"):
        seconds(value, 10.0, "heartbeat_interval")


@pytest.mark.row("A4")
def test_bind_has_every_field_zero_values_included() -> None:
    options = endpoint_options("")
    said = json.loads(encode(options.bind("app://x")))
    assert said["Proto"] == "https"
    assert said["Id"] == ""
    assert said["ForwardsTo"] == "app://x"
    assert said["ForwardsProto"] == ""
    assert said["Extra"] == {
        "Name": "",
        "Token": "",
        "IPPolicyRef": "",
        "Metadata": "",
        "Description": "",
        "Bindings": None,
        "PoolingEnabled": False,
    }
    assert said["Opts"]["URL"] == ""
    assert said["Opts"]["TrafficPolicy"] == ""
    assert said["Opts"]["OAuth"] is None


@pytest.mark.row("T-064")
def test_bind_says_what_was_asked() -> None:
    options = endpoint_options(
        "tcp://",
        name="n",
        description="d",
        metadata="m",
        bindings="internal",
        pooling_enabled=True,
        traffic_policy="{}",
        proxy_protocol=ProxyProtocol.V2,
    )
    said = json.loads(encode(options.bind("")))
    assert said["Proto"] == "tcp"
    assert said["Opts"] == {
        "URL": "tcp://",
        "Addr": "",
        "ProxyProto": 2,
        "IPRestriction": None,
        "Policy": None,
        "TrafficPolicy": "{}",
    }
    extra = said["Extra"]
    assert (extra["Name"], extra["Description"], extra["Metadata"]) == ("n", "d", "m")
    assert extra["Bindings"] == ["internal"]
    assert extra["PoolingEnabled"] is True


@pytest.mark.row("G-117", "G-118")
@pytest.mark.parametrize(
    ("url", "proto", "scheme", "said"),
    [
        ("", None, "https", ""),
        ("tcp://", None, "tcp", "tcp://"),
        ("http://", None, "http", "http://"),
        ("a.example", None, "https", "a.example"),
        ("HTTPS://A.example", None, "https", "HTTPS://A.example"),
        ("", "tcp", "tcp", "tcp://"),
        ("a.example", "tls", "tls", "tls://a.example"),
        ("tls://a.example", "tls", "tls", "tls://a.example"),
    ],
)
def test_the_url_goes_as_it_is_and_its_scheme_is_known(
    url: str, proto: str | None, scheme: str, said: str
) -> None:
    options = endpoint_options(url, proto=proto)
    assert (options.scheme, options.url) == (scheme, said)


@pytest.mark.row("G-117")
@pytest.mark.parametrize("url", ["ftp://a", "host:8080://", "://x"])
def test_an_unknown_scheme_has_its_code(url: str) -> None:
    with pytest.raises(Error, match="unsupported endpoint URL scheme") as caught:
        endpoint_options(url)
    assert caught.value.code == "ERR_NGROK_9036"


def test_scheme_and_proto_must_agree() -> None:
    with pytest.raises(ConfigError):
        endpoint_options("tls://a.example", proto="tcp")


def test_a_listener_says_which_program_it_is() -> None:
    assert app_address().startswith("app://")
    assert app_address().endswith(f"?pid={os.getpid()}")
