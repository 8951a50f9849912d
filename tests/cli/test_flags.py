"""How flags are written: every current one in the help, every older one understood, and clear mistakes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from portway.cli import agent, session
from portway.cli.main import run

if TYPE_CHECKING:
    import click

CURRENT = {
    "http": {
        "--url", "--name", "--description", "--metadata", "--binding", "--pooling-enabled",
        "--traffic-policy-file", "--traffic-policy-url", "--upstream-proxy-protocol", "--upstream-protocol",
        "--upstream-tls-verify", "--upstream-tls-verify-cas", "--inspect", "--authtoken", "--config", "--log",
        "--log-format", "--log-level", "--connect-url", "--connect-cas", "--proxy-url", "--qr",
    },
    "tcp": {
        "--url", "--authtoken", "--name", "--description", "--metadata", "--binding", "--pooling-enabled",
        "--traffic-policy-file", "--traffic-policy-url", "--upstream-proxy-protocol", "--cidr-allow",
        "--cidr-deny", "--config", "--log",
    },
    "tls": {
        "--url", "--crt", "--key", "--mutual-tls-cas", "--upstream-tls-verify", "--upstream-tls-verify-cas",
        "--cidr-allow", "--cidr-deny", "--authtoken", "--name", "--description", "--metadata", "--binding",
        "--pooling-enabled", "--traffic-policy-file", "--traffic-policy-url", "--upstream-proxy-protocol",
    },
    "start": {"--all", "--none", "--authtoken", "--config", "--log", "--metadata"},
    "tunnel": {
        "--label", "--inspect", "--crt", "--key", "--metadata", "--authtoken", "--upstream-protocol",
    },
}  # fmt: skip
DEPRECATED = {
    "http": {
        "--domain", "--hostname", "--subdomain", "--scheme", "--region", "--policy-file", "--proxy-proto",
        "--app-protocol", "--basic-auth", "--cidr-allow", "--cidr-deny", "--circuit-breaker", "--compression",
        "--host-header", "--mutual-tls-cas", "--oauth", "--oauth-allow-domain", "--oauth-allow-email",
        "--oauth-client-id", "--oauth-client-secret", "--oauth-scope", "--oidc", "--oidc-client-id",
        "--oidc-client-secret", "--oidc-scope", "--request-header-add", "--request-header-remove",
        "--response-header-add", "--response-header-remove", "--ua-filter-allow", "--ua-filter-deny",
        "--verify-webhook", "--verify-webhook-secret", "--websocket-tcp-converter",
    },
    "tcp": {"--remote-addr", "--policy-file", "--proxy-proto", "--region"},
    "tls": {
        "--domain", "--hostname", "--subdomain", "--region", "--policy-file", "--proxy-proto",
        "--terminate-at",
    },
    "start": {"--region"},
    "tunnel": {"--app-protocol", "--region"},
}  # fmt: skip


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[session.Plan]:
    """Take what would be run, and run nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("PORTWAY_CONFIG", "NGROK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    taken: list[session.Plan] = []
    monkeypatch.setattr(session, "run", taken.append)
    return taken


@pytest.mark.row("K-04")
@pytest.mark.parametrize("command", list(CURRENT))
def test_the_help_has_what_is_current_and_nothing_else(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    words = {word.rstrip(",.") for word in capsys.readouterr().out.split()}
    assert not CURRENT[command] - words
    assert not DEPRECATED[command] & words


@pytest.mark.row("K-04")
@pytest.mark.parametrize("command", list(DEPRECATED))
def test_older_flags_are_known(command: str) -> None:
    found: click.Command = getattr(agent, command)
    known = {name: option for option in found.params for name in option.opts}
    assert not DEPRECATED[command] - known.keys()
    assert all(getattr(known[name], "hidden", False) for name in DEPRECATED[command])


MODULES: Mapping[str, tuple[list[str], dict[str, object]]] = {
    "basic auth": (
        ["--basic-auth", "ann:password1", "--basic-auth", "bob:password2"],
        {"BasicAuth": {"credentials": [
            {"username": "ann", "cleartext_password": "password1"},
            {"username": "bob", "cleartext_password": "password2"},
        ]}},
    ),
    "networks": (
        ["--cidr-allow", "10.0.0.0/8", "--cidr-deny", "10.1.0.0/16"],
        {"IPRestriction": {"allow_cidrs": ["10.0.0.0/8"], "deny_cidrs": ["10.1.0.0/16"]}},
    ),
    "breaker": (["--circuit-breaker", "0.5"], {"CircuitBreaker": {"error_threshold": 0.5}}),
    "compression": (["--compression"], {"Compression": {}}),
    "compression off": (["--compression=false"], {}),
    "host": (["--host-header", "rewrite"], {"RequestHeaders": {"add": ["host:localhost:8080"]}}),
    "request headers": (
        ["--request-header-add", "a: b:c", "--request-header-remove", "d"],
        {"RequestHeaders": {"add": ["a: b:c"], "remove": ["d"]}},
    ),
    "response headers": (["--response-header-add", "a:b"], {"ResponseHeaders": {"add": ["a:b"]}}),
    "user agents": (["--ua-filter-deny", "bot"], {"UserAgentFilter": {"deny": ["bot"]}}),
    "oauth": (
        ["--oauth", "google", "--oauth-allow-domain", "x.test", "--oauth-allow-email", "a@x.test",
         "--oauth-client-id", "i", "--oauth-client-secret", "s", "--oauth-scope", "mail"],
        {"OAuth": {"provider": "google", "client_id": "i", "client_secret": "s", "allow_emails": ["a@x.test"],
                   "allow_domains": ["x.test"], "scopes": ["mail"]}},
    ),
    "oidc": (
        ["--oidc", "https://i", "--oidc-client-id", "i", "--oidc-client-secret", "s", "--oidc-scope", "mail"],
        {"OIDC": {"issuer_url": "https://i", "client_id": "i", "client_secret": "s", "scopes": ["mail"]}},
    ),
    "webhook": (
        ["--verify-webhook", "github", "--verify-webhook-secret", "s"],
        {"WebhookVerification": {"provider": "github", "secret": "s"}},
    ),
    "converter": (["--websocket-tcp-converter"], {"WebsocketTCPConverter": {}}),
    "subdomain": (["--subdomain", "shop"], {"Subdomain": "shop"}),
}  # fmt: skip


@pytest.mark.row("K-04")
@pytest.mark.parametrize("family", list(MODULES))
def test_older_flags_work_and_warn(
    family: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    flags, modules = MODULES[family]
    assert run(["http", "8080", *flags]) == 0
    (endpoint,) = plans[0].endpoints
    assert endpoint.modules == modules
    warned = capsys.readouterr().err
    if modules:
        assert f"{flags[0]} is deprecated; " in warned
    assert "secret" not in warned.replace("client-secret", "").replace("webhook-secret", "")


@pytest.mark.row("K-04")
@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (["http", "80"], ""),
        (["http", "80", "--url", "https://a.test"], "https://a.test"),
        (["http", "80", "--domain", "a.test"], "a.test"),
        (["http", "80", "--hostname", "a.test"], "a.test"),
        (["http", "80", "--scheme", "http"], "http://"),
        (["http", "80", "--scheme", "http", "--domain", "a.test"], "http://a.test"),
        (["tcp", "22"], "tcp://"),
        (["tcp", "22", "--url", "h.test:20001"], "tcp://h.test:20001"),
        (["tcp", "22", "--remote-addr", "h.test:20001"], "tcp://h.test:20001"),
        (["tls", "443"], "tls://"),
        (["tls", "443", "--domain", "a.test"], "tls://a.test"),
        (["--", "http", "80"], ""),
        (["tcp", "--url=tcp://h.test:1", "22"], "tcp://h.test:1"),
    ],
)
def test_where_an_endpoint_asks_to_be(arguments: list[str], url: str, plans: list[session.Plan]) -> None:
    assert run([each for each in arguments if each != "--"]) == 0
    assert [each.url for each in plans[0].endpoints] == [url]


def test_two_schemes_are_two_endpoints(plans: list[session.Plan]) -> None:
    assert run(["http", "80", "--scheme", "http,https", "--domain", "a.test"]) == 0
    assert [each.url for each in plans[0].endpoints] == ["https://a.test", "http://a.test"]


@pytest.mark.row("K-04")
def test_flags_are_carried_over(plans: list[session.Plan], tmp_path: Any) -> None:
    policy = tmp_path / "policy.yml"
    policy.write_text("on_http_request: []\n")
    flags = [
        "--name", "n", "--description", "d", "--metadata", "m", "--binding", "internal",
        "--pooling-enabled=true", "--traffic-policy-file", str(policy),
        "--upstream-proxy-protocol", "2", "--upstream-protocol", "http1",
        "--upstream-tls-verify", "--inspect=false",
    ]  # fmt: skip
    assert run(["http", *flags, "https://up.test"]) == 0
    (found,) = plans[0].endpoints
    assert (found.name, found.description, found.metadata, found.bindings) == ("n", "d", "m", ("internal",))
    assert (found.pooling_enabled, found.inspect, found.tls_verify) == (True, False, True)
    assert (found.traffic_policy_file, found.proxy_protocol) == (policy, "2")
    assert (found.upstream_protocol, found.upstream) == ("http1", "https://up.test")


@pytest.mark.row("K-04", "T-013")
@pytest.mark.parametrize("command", ["http", "tcp", "tls"])
def test_networks_are_current_flags_where_no_policy_replaces_them(
    command: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "80", "--cidr-allow", "10.0.0.0/8", "--cidr-deny", "10.1.0.0/16"]) == 0
    (endpoint,) = plans[0].endpoints
    restriction = {"allow_cidrs": ["10.0.0.0/8"], "deny_cidrs": ["10.1.0.0/16"]}
    assert endpoint.modules == {"IPRestriction": restriction}
    assert ("is deprecated" in capsys.readouterr().err) == (command == "http")


def test_a_labelled_tunnel(plans: list[session.Plan]) -> None:
    flags = [
        "--label",
        "edge=x",
        "--label=a=b",
        "--metadata",
        "m",
        "--inspect=false",
        "--app-protocol",
        "http2",
    ]
    assert run(["tunnel", "https://up.test", *flags]) == 0
    (found,) = plans[0].endpoints
    assert (found.labels, found.upstream, found.url) == ({"edge": "x", "a": "b"}, "https://up.test", "")
    assert (found.metadata, found.inspect, found.upstream_protocol) == ("m", False, "http2")
    assert plans[0].flags["session_metadata"] is None, "that flag is the tunnel's"


@pytest.mark.row("T-061")
@pytest.mark.parametrize("flag", ["--proxy-proto", "--upstream-proxy-protocol"])
@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_the_old_and_the_new_flag_of_the_proxy_header(
    flag: str, version: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tcp", "22", f"{flag}={version}"]) == (2 if version == "3" else 0)
    if version == "3":
        assert "'3' is not one of '1', '2'" in capsys.readouterr().err
    else:
        assert plans[0].endpoints[0].proxy_protocol == version
        assert ("is deprecated; say --upstream-proxy-protocol" in capsys.readouterr().err) == (
            flag == "--proxy-proto"
        )


@pytest.mark.row("K-05")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["http", "80", "-authtoken", "x"], "-authtoken: long flags have two hyphens, --authtoken"),
        (["http", "80", "-url=x"], "-url: long flags have two hyphens, --url"),
        (["http", "80", "--subdomian", "x"], "No such option"),
        (["http", "80", "90"], "unexpected extra argument"),
        (["tcp"], "Missing argument 'ADDRESS'"),
        (["start"], "say which to start: NAME…, --all, or --none"),
        (["start", "--all", "--none"], "say which to start"),
        (["strat", "a"], "there is no command 'strat'"),
        (["http", "80", "--pooling-enabled=maybe"], "--pooling-enabled is true or false, not 'maybe'"),
        (["http", "80", "--traffic-policy-file", "/no/such"], "does not exist"),
    ],
)
def test_mistakes_are_explained(
    arguments: list[str], what: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert what in capsys.readouterr().err
    assert not plans


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["http", "80", "--domain", "a.test", "--subdomain", "b"], "ERR_NGROK_9021"),
        (["http", "80", "--basic-auth", "ann:short"], "ERR_NGROK_360"),
        (["http", "80", "--cidr-deny", "10.0.0.0/8"], "ERR_NGROK_393"),
        (["http", "80", "--cidr-allow", "10.0.0.0.0"], "ERR_NGROK_362"),
        (["http", "80", "--circuit-breaker", "2"], "ERR_NGROK_361"),
        (["tunnel", "80"], "ERR_NGROK_357"),
        (["tunnel", "80", "--label", "edge"], "ERR_NGROK_357"),
        (["tunnel", "80", "--label", "=x"], "ERR_NGROK_357"),
        (["tunnel", "80", "--label", "edge=x", "--crt", __file__], "crt and key go together"),
        (["tls", "80", "--crt", __file__], "crt and key go together"),
        (["http", "80", "--scheme", "ftp"], "--scheme ftp: use http, https or both"),
        (["http", "80", "--oauth-scope", "x"], "oauth settings without a provider"),
    ],
)
def test_flags_that_make_no_sense(
    arguments: list[str], code: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    assert code in capsys.readouterr().err
    assert not plans


@pytest.mark.parametrize(("command", "flag"), [("http", "--domain"), ("tcp", "--remote-addr")])
def test_two_flags_for_one_thing_are_a_slip(
    command: str, flag: str, plans: list[session.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "80", flag, "a:1", "--url", "b"]) == 2
    assert f"{flag} and --url name the same thing" in capsys.readouterr().err
    assert not plans
