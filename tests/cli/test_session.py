"""What an agent is told by flags, variables and files; when there is a screen."""

import io
from typing import Any

import pytest

from portway.agent.config.model import Settings
from portway.cli.session import agent_options, wants_screen

FILE = Settings(authtoken="FILE", connect_url="file:1", connect_cas="/file.pem", proxy_url="http://file:1")


@pytest.mark.parametrize(
    ("flag", "environ", "said"),
    [
        ("FLAG", {"NGROK_AUTHTOKEN": "ENV"}, "FLAG"),
        (None, {"NGROK_AUTHTOKEN": "ENV"}, None),
        (None, {"PORTWAY_AUTHTOKEN": "ENV"}, None),
        (None, {}, "FILE"),
        (None, {"NGROK_AUTHTOKEN": ""}, "FILE"),
    ],
)
def test_a_flag_before_its_variable_before_the_file(
    flag: str | None, environ: dict[str, str], said: str | None
) -> None:
    """None: the agent looks at the variable by itself."""
    assert agent_options({"authtoken": flag}, FILE, environ).get("authtoken") == said


def test_the_other_settings() -> None:
    options = agent_options({}, FILE, {})
    assert (options.get("connect_url"), options.get("connect_cas")) == ("file:1", "/file.pem")
    assert options.get("proxy_url") == "http://file:1"
    assert agent_options({"proxy_url": ""}, FILE, {}).get("proxy_url") == "", (
        "no proxy, whatever the file says"
    )
    assert agent_options({}, FILE, {"http_proxy": "http://env:1"}).get("proxy_url") is None
    beating = agent_options({}, Settings(heartbeat_interval=5.0, heartbeat_tolerance=6.0, metadata="m"), {})
    assert (beating.get("heartbeat_interval"), beating.get("heartbeat_tolerance")) == (5.0, 6.0)
    assert beating.get("metadata") == "m"


@pytest.mark.parametrize(
    ("flags", "settings", "terminal", "screen"),
    [
        ({}, Settings(), True, True),
        ({}, Settings(), False, False),
        ({"log": "stdout"}, Settings(), True, False),
        ({"log": "false"}, Settings(), True, True),
        ({}, Settings(console_ui="false"), True, False),
        ({}, Settings(console_ui="true"), False, False),
        ({}, Settings(log="/var/log/x"), True, False),
    ],
)
def test_when_there_is_a_screen(
    flags: dict[str, Any], settings: Settings, terminal: bool, screen: bool
) -> None:
    assert wants_screen(flags, settings, terminal) == screen


def test_nothing_secret_is_in_what_is_shown() -> None:
    out = io.StringIO()
    out.write(repr(FILE))
    assert "FILE" not in out.getvalue()
