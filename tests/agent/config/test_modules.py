"""Options of older agents: what they become on the wire, and what is refused before."""

from pathlib import Path

import pytest

from portway.agent.config import modules
from portway.errors import ConfigError, Error


def test_each_family() -> None:
    assert modules.basic_auth(["ann:secret:with:colons"]) == {
        "BasicAuth": {"credentials": [{"username": "ann", "cleartext_password": "secret:with:colons"}]}
    }
    assert modules.ip_restriction(["10.0.0.0/8"], ["10.1.0.0/16"]) == {
        "IPRestriction": {"allow_cidrs": ["10.0.0.0/8"], "deny_cidrs": ["10.1.0.0/16"]}
    }
    assert modules.circuit_breaker(0.5) == {"CircuitBreaker": {"error_threshold": 0.5}}
    assert modules.compression(True) == {"Compression": {}}
    assert modules.websocket_converter(True) == {"WebsocketTCPConverter": {}}
    assert modules.headers("Request", ["a: b:c"], ["d"]) == {
        "RequestHeaders": {"add": ["a: b:c"], "remove": ["d"]}
    }
    assert modules.user_agent_filter(["^x"], []) == {"UserAgentFilter": {"allow": ["^x"]}}
    assert modules.oauth("google", domains=["x.y"]) == {
        "OAuth": {"provider": "google", "allow_domains": ["x.y"]}
    }
    assert modules.oidc("https://i", client_id="c", client_secret="s") == {
        "OIDC": {"issuer_url": "https://i", "client_id": "c", "client_secret": "s"}
    }
    assert modules.webhook("github", "s") == {"WebhookVerification": {"provider": "github", "secret": "s"}}


def test_what_was_not_asked_for_is_not_there() -> None:
    nothing = (
        modules.basic_auth([]), modules.ip_restriction([], []), modules.circuit_breaker(None),
        modules.compression(False), modules.websocket_converter(False), modules.headers("Request", [], []),
        modules.user_agent_filter([], []), modules.oauth(""), modules.oidc(""), modules.webhook("", ""),
        modules.host_header("preserve", "80"), modules.mutual_tls("http", [], at_edge=True),
    )  # fmt: skip
    assert not any(nothing)


@pytest.mark.parametrize(
    ("value", "upstream", "host"),
    [
        ("rewrite", "8080", "localhost:8080"),
        ("rewrite", "80", "localhost"),
        ("rewrite", "https://site.test", "site.test"),
        ("rewrite", "site.test:443", "site.test"),
        ("rewrite", "http://[::1]:81", "[::1]:81"),
        ("my.test", "8080", "my.test"),
    ],
)
def test_the_host_that_the_upstream_sees(value: str, upstream: str, host: str) -> None:
    assert modules.host_header(value, upstream) == {"RequestHeaders": {"add": [f"host:{host}"]}}


def test_refusals_have_codes() -> None:
    for code, call in (
        (359, lambda: modules.basic_auth([":password1"])),
        (360, lambda: modules.basic_auth(["ann:short"])),
        (360, lambda: modules.basic_auth(["ann"])),
        (361, lambda: modules.circuit_breaker(1.5)),
        (370, lambda: modules.headers("Request", ["no colon"], [])),
        (393, lambda: modules.ip_restriction([], ["10.0.0.0/8"])),
    ):
        with pytest.raises(Error) as caught:
            call()
        assert caught.value.code == f"ERR_NGROK_{code}"
    for call in (
        lambda: modules.oauth("", domains=["x"]),
        lambda: modules.oidc("", client_id="x"),
        lambda: modules.webhook("github", ""),
    ):
        with pytest.raises(ConfigError):
            call()


def test_no_password_is_told() -> None:
    with pytest.raises(Error) as caught:
        modules.basic_auth(["ann:short"])
    assert "short" not in str(caught.value)


def test_tls_at_the_edge_and_at_the_agent(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_bytes(b"CA")
    assert modules.mutual_tls("http", [pem], at_edge=True) == {"MutualTLSCA": {"mutual_tls_ca": b"CA"}}
    assert modules.mutual_tls("tls", [pem, b"X"], at_edge=True) == {
        "MutualTLSAtEdge": {"mutual_tls_ca": b"CA\nX"}
    }
    assert modules.mutual_tls("tls", [pem], at_edge=False) == {"MutualTLSAtAgent": True}
    assert modules.tls_termination(pem, b"KEY") == {"TLSTermination": {"cert": b"CA", "key": b"KEY"}}
    assert modules.tls_termination(None, None) == {"TLSTermination": {}}
    with pytest.raises(ConfigError, match=r"none\.pem: cannot be read"):
        modules.read_pem(tmp_path / "none.pem")


def test_header_fields_of_two_sources_are_all_kept() -> None:
    both = modules.joined(modules.headers("Request", ["a:1"], []), modules.host_header("x", "80"))
    assert both == {"RequestHeaders": {"add": ["a:1", "host:x"]}}
