"""Options of the service: places, precedence, defaults, errors."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from portway.errors import ConfigError
from portway.model.agent_version import Demand
from portway.model.plan import Plan
from portway.policy.limits import DEFAULT_LIMITS
from portway.server import config
from portway.server.parsers import Address, PortRange

HOME = {"HOME": "/h"}


def test_the_defaults_are_those_of_a_laptop() -> None:
    loaded = config.load({}, HOME)
    assert loaded == config.ServeConfig(
        config.EdgeConfig(
            domain="portway.localhost",
            region="local",
            listen_agent=Address("127.0.0.1", 4443),
            listen_http=Address("127.0.0.1", 7080),
            listen_https=Address("127.0.0.1", 7443),
            tcp_ports=PortRange(20000, 20999),
            tcp_host="localhost",
            public_http_port=None,
            public_https_port=None,
            auth_host="auth.portway.localhost",
            trust_forwarded=True,
            resume_grace=180.0,
            drain_timeout=10.0,
            endpoints_per_session=100,
        ),
        config.ControlConfig(Path("/h/.local/share/portway")),
        config.LogConfig(format="text", level="info", access=True),
    )
    assert loaded.data_dir == Path("/h/.local/share/portway")
    assert loaded.control.database == Path("/h/.local/share/portway/portway.db")


def test_flag_before_variable_before_file_before_default(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_text("region: file\nlog_level: debug\nlisten_http: 127.0.0.1:1\n")
    loaded = config.load(
        {"region": "flag", "domain": None},
        {**HOME, "PORTWAY_REGION": "variable", "PORTWAY_LOG_LEVEL": "error", "PORTWAY_DOMAIN": ""},
        config=str(file),
    )
    assert loaded.edge.region == "flag"
    assert loaded.log.level == "error"
    assert loaded.edge.listen_http.port == 1
    assert loaded.edge.domain == "portway.localhost"


def test_versions_of_agents_keep_their_digits(tmp_path: Path) -> None:
    """0.10 is no 0.1."""
    file = tmp_path / "portway.yml"
    file.write_text("min_agent_version: 0.10\n")
    assert config.load({}, HOME, config=str(file)).edge.min_agent_version == (Demand("portway", "0.10"),)
    assert config.load({}, HOME).edge.min_agent_version == ()
    with pytest.raises(ConfigError, match=r"--min-agent-version: 'x' is not \[PRODUCT=\]VERSION"):
        config.load({"min_agent_version": "x"}, HOME)


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_text(
        "access_log: false\ndomain: Example.com\ntcp_ports: 22\npublic_https_port: 443\ntcp_host:\n"
    )
    loaded = config.load({}, {**HOME, "PORTWAY_SERVE_CONFIG": str(file)})
    assert not loaded.log.access
    assert loaded.edge.domain == "example.com"
    assert loaded.edge.tcp_host == "1.tcp.example.com"
    assert loaded.edge.tcp_ports == PortRange(22, 22)
    assert loaded.edge.public_https_port == 443


@pytest.mark.parametrize("said", ["own", "any", "none"])
def test_names_that_nobody_has_reserved(said: str) -> None:
    assert config.load({}, HOME).edge.unreserved_domains == "own"
    assert config.load({"unreserved_domains": said}, HOME).edge.unreserved_domains == said


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_text("# nothing\n")
    assert config.load({}, HOME, config=str(file)) == config.load({}, HOME)


@pytest.mark.parametrize(("domain", "host"), [
    ("portway.localhost", "localhost"),
    ("localhost", "localhost"),
    ("example.com", "1.tcp.example.com"),
    ("notlocalhost", "1.tcp.notlocalhost"),
])  # fmt: skip
def test_the_tcp_host_follows_the_domain(domain: str, host: str) -> None:
    assert config.load({"domain": domain}, HOME).edge.tcp_host == host


@pytest.mark.parametrize("option", config.OPTIONS, ids=lambda option: option.name)
def test_an_error_names_the_flag_and_the_variable(option: config.Option[object]) -> None:
    with pytest.raises(ConfigError, match=f"^{option.flag}: "):
        config.load({option.name: "\0 wrong"}, HOME)
    with pytest.raises(ConfigError, match=f"^{option.variable}: "):
        config.load({}, {**HOME, option.variable: "\0 wrong"})


@pytest.mark.parametrize(("text", "place"), [
    ("domain: a.com\nlisten_http: nowhere\n", ":2:1: listen_http: 'nowhere' is not HOST:PORT"),
    ("domain: a.com\n  listen_agnet: 1\n", ":2:"),
    ("listen_agnet: 1\n", ":1:1: 'listen_agnet' is not an option; did you mean 'listen_agent'?"),
    ("1: 1\n", ":1:1: '1' is not an option"),
    ("tcp_ports:\n  - 1\n", ":1:1: tcp_ports must be one value"),
    ("region: a\nregion: b\n", ":2:1:"),
    ("- a\n", ":1:1: a mapping of options is wanted"),
    ("a: [\n", ":2:1:"),
    ("a: \x01\n", ":1:4: the document holds the control character U+0001"),
])  # fmt: skip
def test_an_error_names_file_line_and_column(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "portway.yml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load({}, HOME, config=str(file))
    assert f"{file}{place}" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yml: cannot be read: No such file"):
        config.load({}, HOME, config=str(tmp_path / "gone.yml"))


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 0"):
        config.load({}, HOME, config=str(file))
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than"):
        config.load({}, HOME, config=str(file))


def test_plans_have_no_limits_until_some_are_given() -> None:
    assert config.load({}, HOME).control.plans == {}
    assert config.load({"plan_limits": "free:domains=1"}, HOME).control.plans == {"free": Plan(domains=1)}


def test_limits_of_policies_are_those_of_the_code_until_some_are_given() -> None:
    assert config.load({}, HOME).edge.policy_limits == DEFAULT_LIMITS
    asked = config.load({"policy_limits": "rules=200, run=0.5"}, HOME).edge.policy_limits
    assert asked == replace(DEFAULT_LIMITS, rules=200, run=0.5)
    with pytest.raises(ConfigError, match="--policy-limits: 'rulez=1' is not LIMIT=N"):
        config.load({"policy_limits": "rulez=1"}, HOME)


def test_option_names_are_unique() -> None:
    assert len({option.name for option in config.OPTIONS}) == len(config.OPTIONS)


URL = "postgresql://me:hunter2@db.example.com/portway"


def test_a_database_url_is_taken_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "portway.yml"
    file.write_text(f"database_url: {URL}\n")
    for loaded in (
        config.load({"database_url": URL}, HOME),
        config.load({}, {**HOME, "PORTWAY_DATABASE_URL": URL}),
        config.load({}, HOME, config=str(file)),
    ):
        assert loaded.control.database == URL
        assert "hunter2" not in repr(loaded)


@pytest.mark.parametrize("url", ["sqlite:///hunter2", "postgresql://me:hunter2@db", "hunter2"])
def test_what_is_no_database_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match="--database-url: postgresql://USER:PASSWORD@HOST") as caught:
        config.load({"database_url": url}, HOME)
    assert "hunter2" not in str(caught.value)


def test_requests_to_the_api_are_bounded_when_that_is_asked_for() -> None:
    plain = config.load({}, HOME).control
    asked = config.load({"api_rate": "120", "api_parallel": "8"}, HOME).control
    assert (plain.api_rate, plain.api_parallel) == (0, 0)
    assert (asked.api_rate, asked.api_parallel) == (120, 8)


def test_networks_of_the_operator_are_read() -> None:
    control = config.load({"admin_cidr": "192.0.2.0/24,2001:db8::/32"}, {}).control
    assert [str(each) for each in control.admin_cidrs] == ["192.0.2.0/24", "2001:db8::/32"]
    with pytest.raises(ConfigError, match="--admin-cidr"):
        config.load({"admin_cidr": "192.0.2.9/24"}, {})
    assert config.load({}, {}).control.admin_cidrs == ()
