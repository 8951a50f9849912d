"""What an agent is told by flags, variables and files; when there is a screen."""

import io
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.kit.certs import make_certs
from tests.kit.fake_service import FakeService

from portway import Agent, ConfigError, Upstream
from portway.agent.config.files import load
from portway.agent.config.model import Settings
from portway.agent.discovery import Service, discover
from portway.agent.options import AgentKeywords
from portway.cli.endpoints import put_online
from portway.cli.session import agent_options, ending_signals, wants_screen

FILE = Settings(authtoken="FILE", connect_url="file:1", connect_cas="/file.pem", proxy_url="http://file:1")


@pytest.mark.row("K-06")
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


def service_of(options: AgentKeywords, environ: dict[str, str]) -> Service:
    """Return the service that an agent with these options would connect to."""
    return discover(Agent(**options).options, environ, Path("/nonexistent"))


def write(folder: Path, text: str) -> str:
    """Make a configuration file; return its path."""
    file = folder / "portway.yml"
    file.write_text(f"version: 3\n{text}\n")
    return str(file)


@pytest.mark.row("G-180")
@pytest.mark.parametrize("url", ["localhost:4443", "connect.example.com", "192.0.2.1:443"])
@pytest.mark.parametrize("cas", ["trusted", "host", "/etc/ca.pem", None])
@pytest.mark.parametrize("proxy", ["http://p.example:3128", "socks5://u:p@p.example", None])
@pytest.mark.parametrize("world", [{}, {"http_proxy": "http://world.example:1"}])
def test_code_and_file_mean_the_same(
    tmp_path: Path, url: str, cas: str | None, proxy: str | None, world: dict[str, str]
) -> None:
    """All but one thing: in a file a proxy goes behind that of the environment, in code before it."""
    said = {"connect_url": url, "connect_cas": cas, "proxy_url": proxy}
    lines = [f"  {name}: {value}" for name, value in said.items() if value]
    file = write(tmp_path, "\n".join(["agent:", *lines]))
    from_file = service_of(agent_options({}, load([file]).settings, world), world)
    in_code: AgentKeywords = {"connect_url": url, "connect_cas": cas, "proxy_url": proxy}
    if world and url != "localhost:4443":
        assert from_file.proxy is not None
        assert from_file.proxy.host == "world.example"
        del in_code["proxy_url"]
    assert from_file == service_of(in_code, world)
    assert (from_file.proxy is None) == (proxy is None and not (world and url != "localhost:4443"))


@pytest.mark.row("G-180")
@pytest.mark.parametrize(("name", "text"), [("connect_url", "a:b:c"), ("proxy_url", "ftp://p.example")])
def test_what_is_wrong_is_wrong_in_both(tmp_path: Path, name: str, text: str) -> None:
    said = {"connect_url": "localhost:1", name: text}
    file = write(tmp_path, "\n".join(["agent:", *(f"  {name}: {value}" for name, value in said.items())]))
    in_code: Any = said
    with pytest.raises(ConfigError) as refused:
        service_of(in_code, {})
    with pytest.raises(ConfigError, match=f"agent.{name}: ") as caught:
        load([file])
    assert str(caught.value).endswith(str(refused.value))


@pytest.mark.row("G-180")
async def test_code_and_file_say_the_same_to_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PORTWAY_CONNECT_URL", "PORTWAY_CONNECT_CAS", "PORTWAY_PROXY_URL", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    service = FakeService(make_certs())
    await service.start()
    (tmp_path / "ca.pem").write_bytes(service.certs.ca)
    written = [
        f"agent: {{authtoken: t, connect_url: '{service.connect_url}', connect_cas: ca.pem, metadata: m}}",
        "endpoints:",
        *(
            f"  - {{name: e{version}, url: 'tcp://', upstream: {{url: 22, proxy_protocol: {version}}}}}"
            for version in ("1", "2", "'2'", "''")
        ),
    ]
    config = load([write(tmp_path, "\n".join(written))])
    ca = tmp_path / "ca.pem"
    try:
        async with Agent(**agent_options({}, config.settings, {})) as agent:
            for (endpoint,) in config.endpoints.values():
                await put_online(agent, endpoint)
        async with Agent(
            authtoken="t", connect_url=service.connect_url, connect_cas=ca, metadata="m"
        ) as agent:
            for name, version in (("e1", 1), ("e2", 2), ("e'2'", "2"), ("e''", "")):
                await agent.forward(Upstream(22, proxy_protocol=version), url="tcp://", name=name)
        from_file, in_code = service.arrived
        assert from_file.auth == in_code.auth
        assert from_file.auth.extra.custom_cas
        assert [bind.opts["ProxyProto"] for bind in in_code.binds] == [1, 2, 2, 0]
        assert from_file.binds == in_code.binds
    finally:
        await service.close()


@pytest.mark.parametrize(
    ("flags", "settings", "terminal", "screen"),
    [
        ({}, Settings(), True, True),
        ({}, Settings(), False, False),
        ({"log": "stdout"}, Settings(), True, False),
        ({"log": "false"}, Settings(), True, True),
        ({}, Settings(console_ui="false"), True, False),
        ({}, Settings(console_ui="true"), False, False),
        ({"log": "stderr"}, Settings(), True, False),
        ({}, Settings(log="/var/log/x"), True, True),
        ({"log": "/var/log/x"}, Settings(log="stdout"), True, True),
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


def test_a_closed_terminal_ends_the_agent_in_order_but_not_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert set(ending_signals()) == {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert set(ending_signals()) == {signal.SIGINT, signal.SIGTERM}
    finally:
        signal.signal(signal.SIGHUP, before)
