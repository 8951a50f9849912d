"""Tunnels of version 2: every field, and what is wrong with one."""

from pathlib import Path

import pytest

from portway.agent.config.document import Problems, parse
from portway.agent.config.model import EndpointConfig, Termination
from portway.agent.config.version2 import read_tunnel
from portway.errors import ConfigError


def tunnels(text: str) -> tuple[EndpointConfig, ...]:
    problems = Problems()
    found = read_tunnel("t", parse(f"t: {{{text}}}", "f.yml").entries["t"], problems)
    problems.check()
    return found


def tunnel(text: str) -> EndpointConfig:
    (found,) = tunnels(text)
    return found


@pytest.mark.parametrize(
    ("text", "url", "scheme"),
    [
        ("proto: http, addr: 80", "", "https"),
        ("proto: http, addr: 80, domain: a.test", "a.test", "https"),
        ("proto: http, addr: 80, hostname: a.test", "a.test", "https"),
        ("proto: http, addr: 80, domain: a.test, schemes: [http]", "http://a.test", "http"),
        ("proto: http, addr: 80, url: 'http://a.test'", "http://a.test", "http"),
        ("proto: tcp, addr: 22", "tcp://", "tcp"),
        ("proto: tcp, addr: 22, remote_addr: 'h.test:20001'", "tcp://h.test:20001", "tcp"),
        ("proto: tcp, addr: 22, url: 'h.test:20001'", "tcp://h.test:20001", "tcp"),
        ("proto: tls, addr: 443", "tls://", "tls"),
        ("proto: tls, addr: 443, domain: a.test", "tls://a.test", "tls"),
        ("proto: http, addr: 80, domain: 'https://a.test'", "https://a.test", "https"),
    ],
)
def test_where_a_tunnel_asks_to_be(text: str, url: str, scheme: str) -> None:
    found = tunnel(text)
    assert (found.url, found.scheme) == (url, scheme)


def test_both_schemes_are_two_endpoints() -> None:
    one, other = tunnels("proto: http, addr: 80, domain: a.test, schemes: [http, https]")
    assert (one.name, one.url) == ("t", "https://a.test")
    assert (other.name, other.url) == ("t (http)", "http://a.test")


def test_a_subdomain_is_the_services_to_complete() -> None:
    found = tunnel("proto: http, addr: 80, subdomain: shop")
    assert (found.url, found.modules) == ("", {"Subdomain": "shop"})


@pytest.mark.row("K-26")
def test_plain_fields() -> None:
    found = tunnel(
        "proto: http, addr: 'host:81', metadata: m, description: d, inspect: false, proxy_proto: 2, "
        "app_protocol: http1, upstream_tls_verify: true, upstream_tls_verify_cas: /ca.pem, "
        "pooling_enabled: true, binding: internal, traffic_policy_file: /p.yml"
    )
    assert found == EndpointConfig(
        name="t", upstream="host:81", metadata="m", description="d", inspect=False, proxy_protocol="2",
        upstream_protocol="http1", tls_verify=True, tls_verify_cas=Path("/ca.pem"), pooling_enabled=True,
        bindings=("internal",), traffic_policy_file=Path("/p.yml"), place="f.yml:1:4 t",
    )  # fmt: skip
    older = tunnel("proto: tls, addr: 81, verify_upstream_tls: true, upstream_ca_path: /ca.pem")
    assert (older.tls_verify, older.tls_verify_cas) == (True, Path("/ca.pem"))


@pytest.mark.row("K-26")
@pytest.mark.parametrize(
    ("field", "module"),
    [
        ("basic_auth: ['ann:password']", "BasicAuth"),
        ("circuit_breaker: 0.5", "CircuitBreaker"),
        ("compression: true", "Compression"),
        ("ip_restriction: {allow_cidrs: [10.0.0.0/8]}", "IPRestriction"),
        ("host_header: rewrite", "RequestHeaders"),
        ("oauth: {provider: google, allow_domains: [a.test]}", "OAuth"),
        ("oidc: {issuer_url: 'https://i', client_id: a, client_secret: b}", "OIDC"),
        ("request_header: {add: ['a: b'], remove: [c]}", "RequestHeaders"),
        ("response_header: {add: ['a: b']}", "ResponseHeaders"),
        ("user_agent_filter: {deny: [bot]}", "UserAgentFilter"),
        ("verify_webhook: {provider: github, secret: s}", "WebhookVerification"),
        ("websocket_tcp_converter: true", "WebsocketTCPConverter"),
    ],
)
def test_modules(field: str, module: str) -> None:
    assert list(tunnel(f"proto: http, addr: 80, {field}").modules) == [module]


def test_a_policy_is_a_map_or_a_text() -> None:
    assert tunnel("proto: tcp, addr: 1, traffic_policy: {on_tcp_connect: []}").traffic_policy == (
        '{"on_tcp_connect":[]}'
    )
    assert tunnel("proto: tcp, addr: 1, policy: {inbound: []}").traffic_policy == '{"inbound":[]}'
    assert tunnel("proto: tcp, addr: 1, traffic_policy: 'on_tcp_connect: []'").traffic_policy == (
        "on_tcp_connect: []"
    )


def test_where_tls_ends(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("PEM")
    files = f"crt: {pem}, key: {pem}"
    agent = tunnel(f"proto: tls, addr: 1, {files}, mutual_tls_cas: {pem}")
    assert agent.termination == Termination(certificate=pem, key=pem, authorities=(pem,))
    assert agent.modules == {"MutualTLSAtAgent": True}
    edge = tunnel(f"proto: tls, addr: 1, {files}, terminate_at: edge, mutual_tls_cas: {pem}")
    assert edge.termination is None
    assert edge.modules == {
        "TLSTermination": {"cert": b"PEM", "key": b"PEM"},
        "MutualTLSAtEdge": {"mutual_tls_ca": b"PEM"},
    }
    assert tunnel("proto: tls, addr: 1, terminate_at: upstream").termination is None
    assert tunnel(f"proto: http, addr: 1, mutual_tls_cas: {pem}").modules == {
        "MutualTLSCA": {"mutual_tls_ca": b"PEM"}
    }


@pytest.mark.row("K-26")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("addr: 80", "`proto` is needed: http, tcp or tls (ERR_NGROK_394)"),
        ("proto: udp, addr: 80", "f.yml:1:12 t.proto: `proto` is needed"),
        ("proto: tcp", "`addr` is needed"),
        ("proto: tcp, addr: 1, domain: x", "t.domain: there is no such key"),
        ("proto: http, addr: 1, region: eu", "t.region: there is no such key; a tunnel has none"),
        ("proto: http, addr: 1, url: 'tcp://'", "the URL 'tcp://' is not one of http"),
        ("proto: tls, addr: 1, url: 'https://a.test'", "the URL 'https://a.test' is not one of tls"),
        ("proto: http, addr: 1, auth: 'a:b'", "t.auth: there is no such key; renamed: say basic_auth"),
        ("proto: http, addr: 1, basic_auth: ['a:b']", "must have 8 to 128 characters"),
        ("proto: http, addr: 1, basic_auths: []", "did you mean basic_auth?"),
        ("proto: http, addr: 1, domain: a, hostname: b", "t.hostname: stands beside domain"),
        ("proto: http, addr: 1, policy: {}, traffic_policy: {}", "t.policy: stands beside traffic_policy"),
        ("proto: http, addr: 1, ip_restriction: {deny_cidrs: [0.0.0.0/0]}", "nobody could come in"),
        ("proto: http, addr: 1, oauth: {providr: x}", "t.oauth.providr: there is no such key"),
        ("proto: http, addr: 1, proxy_proto: 3", "t.proxy_proto: one of 1, 2 is wanted"),
        ("proto: tls, addr: 1, crt: /x.pem", "crt and key go together"),
        ("proto: tls, addr: 1, terminate_at: agent", "needs crt and key"),
        ("proto: http, addr: 1, inspect: maybe", "t.inspect: true or false is wanted"),
        ("addr: 1, labels: [a=b], domain: x", "t.domain: there is no such key"),
    ],
)
def test_what_is_wrong_has_its_place(text: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tunnels(text)
    assert what in str(caught.value)
    assert all(line.startswith("f.yml:1:") for line in str(caught.value).splitlines())


def test_a_labelled_tunnel_is_an_edges(tmp_path: Path) -> None:
    (found,) = tunnels(
        "addr: https://h:1, labels: [edge=x, a=b=c], metadata: m, inspect: false, app_protocol: http2"
    )
    assert found.labels == {"edge": "x", "a": "b=c"}
    assert (found.upstream, found.metadata, found.inspect, found.url) == ("https://h:1", "m", False, "")
    assert found.upstream_protocol == "http2"
    (found,) = tunnels("addr: 1, labels: edge=x, crt: /a.pem, key: /b.pem")
    assert found.termination == Termination(certificate=Path("/a.pem"), key=Path("/b.pem"))
