"""A wrong option is refused where it is given, by its name."""

from pathlib import Path
from typing import Any

import pytest

from portway import Agent, ClientInfo, ConfigError, Error, Upstream
from portway.agent.options import endpoint_options

AGENT = (
    ("authtoken", 5),
    ("connect_url", b"localhost:1"),
    ("connect_cas", 5),
    ("proxy_url", 5),
    ("metadata", 5),
    ("description", b""),
    ("heartbeat_interval", "10"),
    ("heartbeat_interval", True),
    ("heartbeat_tolerance", -1),
    ("heartbeat_tolerance", float("nan")),
    ("auto_connect", 1),
    ("client_info", ["me"]),
    ("event_handlers", [5]),
    ("rpc_handler", "stop"),
    ("resume", b""),
    ("logger", "portway"),
    ("dialer", lambda: None),
    ("tls_config", 5),
    ("multi_leg", "yes"),
)
ENDPOINT: tuple[tuple[str, Any], ...] = (
    ("url", 5),
    ("name", 5),
    ("description", b""),
    ("metadata", {}),
    ("bindings", [5]),
    ("pooling_enabled", 1),
    ("traffic_policy", {"on_http_request": []}),
    ("proto", 5),
)
UPSTREAM = (
    ("addr", 5.5),
    ("addr", True),
    ("addr", None),
    ("tls_context", "ssl"),
    ("verify", "no"),
    ("dialer", 5),
    ("proxy_protocol", 3),
)


@pytest.mark.parametrize(("option", "value"), AGENT)
def test_of_an_agent(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=option) as caught:
        Agent(**{option: value})
    assert not isinstance(caught.value, Error)


@pytest.mark.parametrize(("option", "value"), ENDPOINT)
def test_of_an_endpoint(option: str, value: Any) -> None:
    options: dict[str, Any] = {"url": ""} | {option: value}
    with pytest.raises(ConfigError, match=option):
        endpoint_options(**options)


@pytest.mark.parametrize(("option", "value"), UPSTREAM)
def test_of_an_upstream(option: str, value: Any) -> None:
    options: dict[str, Any] = {"addr": 80} | {option: value}
    named = {"addr": "address", "proxy_protocol": "PROXY protocol"}.get(option, option)
    with pytest.raises(ConfigError, match=named):
        Upstream(**options)


def test_of_client_info() -> None:
    with pytest.raises(ConfigError, match="ClientInfo"):
        ClientInfo("me", 5)  # pyright: ignore[reportArgumentType]


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Agent(authtoken=b"secret")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "authtoken is of type bytes: it must be str"


def test_what_is_right_passes(tmp_path: Path) -> None:
    Agent(connect_cas=tmp_path, heartbeat_interval=1, client_info=ClientInfo("me"), event_handlers=[print])
