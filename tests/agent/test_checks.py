"""A wrong option is refused where it is given, by its name."""

import math
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from portway import Agent, ClientInfo, ConfigError, Error, Event, TLSTermination, Upstream
from portway.agent.checks import limit
from portway.agent.options import endpoint_options


async def _waits(event: Event) -> None:
    """A coroutine function: as an event handler nobody would await it."""


class _Waits:
    async def __call__(self, event: Event) -> None: ...


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
    ("auto_connect", None),
    ("multi_leg", None),
    ("metadata", None),
    ("description", "half \ud83d"),
    ("authtoken", "\ud83d"),
    ("client_info", 5),
    ("event_handlers", print),
    ("event_handlers", [None]),
    ("event_handlers", [_waits]),
    ("event_handlers", [_Waits()]),
    ("rpc_unsupported", 5),
    ("rpc_unsupported", {"Stop": "not me"}),
    ("rpc_unsupported", {"StopAgent": 5}),
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
    ("bindings", 5),
    ("bindings", None),
    ("labels", 5),
    ("modules", 5),
    ("modules", {"Unheard": {}}),
    ("modules", {"Compression": object()}),
    ("traffic_policy", "\ud83d"),
    ("name", "\ud83d"),
)
UPSTREAM = (
    ("addr", 5.5),
    ("addr", True),
    ("addr", None),
    ("tls_context", "ssl"),
    ("verify", "no"),
    ("dialer", 5),
    ("proxy_protocol", 3),
    ("verify", None),
    ("verify_cas", 5),
    ("tls_context", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)),
    ("addr", -80),
    ("addr", 65536),
    ("addr", "local\nhost:80"),
    ("addr", "\ud83d"),
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
    named = {"addr": "address|upstream", "proxy_protocol": "PROXY protocol"}.get(option, option)
    with pytest.raises(ConfigError, match=named):
        Upstream(**options)


@pytest.mark.parametrize("pem", [5, "no\0file"])
def test_of_a_termination(pem: Any) -> None:
    with pytest.raises(ConfigError, match=r"certificate or key|cannot read"):
        TLSTermination(pem, b"").context()


@pytest.mark.parametrize("wrong", ["5", [5], True, math.nan])
async def test_of_a_limit(wrong: Any) -> None:
    agent = Agent()
    for call in (agent.connect(wrong), agent.diagnose(timeout=wrong)):
        with pytest.raises(ConfigError, match="timeout"):
            await call
    with pytest.raises(ConfigError, match="drain"):
        await agent.disconnect(drain=wrong)
    with pytest.raises(ConfigError, match="addr"):
        await agent.diagnose(5)  # pyright: ignore[reportArgumentType]


def test_limits_are_seconds_or_timedeltas() -> None:
    assert limit(timedelta(minutes=1)) == 60
    assert limit(-1) == -1
    assert (limit(None), limit(math.inf)) == (None, None)


def test_of_client_info() -> None:
    with pytest.raises(ConfigError, match="ClientInfo"):
        ClientInfo("me", 5)  # pyright: ignore[reportArgumentType]


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Agent(authtoken=b"secret")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == "authtoken is of type bytes: it must be str"


def test_what_is_right_passes(tmp_path: Path) -> None:
    Agent(connect_cas=tmp_path, heartbeat_interval=1, client_info=ClientInfo("me"), event_handlers=[print])
