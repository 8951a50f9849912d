"""Endpoints of version 3: every field, and what is wrong with one."""

from pathlib import Path

import pytest

from portway.agent.config.document import Problems, parse
from portway.agent.config.model import EndpointConfig, Termination
from portway.agent.config.version3 import read_endpoints
from portway.errors import ConfigError


def endpoints(text: str) -> dict[str, tuple[EndpointConfig, ...]]:
    problems = Problems()
    found = read_endpoints(parse(f"endpoints:\n{text}", "f.yml").entries["endpoints"], problems)
    problems.check()
    return found


def endpoint(text: str) -> EndpointConfig:
    (((found,)),) = (endpoints(f"  - {{name: e, {text}}}").values(),)[0]
    return found


@pytest.mark.parametrize(
    ("url", "proto", "scheme"),
    [
        ("''", "http", "https"),
        ("https://", "http", "https"),
        ("a.test", "http", "https"),
        ("http://a.test", "http", "http"),
        ("tcp://h.test:20001", "tcp", "tcp"),
        ("tls://a.test", "tls", "tls"),
        ("[https://a.test]", "http", "https"),
    ],
)
def test_url(url: str, proto: str, scheme: str) -> None:
    found = endpoint(f"url: {url}, upstream: {{url: 80}}")
    assert (found.proto, found.scheme) == (proto, scheme)


@pytest.mark.row("K-26")
def test_every_field() -> None:
    found = endpoint(
        "url: a.test, bindings: [internal], metadata: m, description: d, pooling_enabled: true, "
        "inspect: false, traffic_policy: {on_http_request: []}, "
        "upstream: {url: 5000, protocol: http1, proxy_protocol: 1, tls_verify: true, tls_verify_cas: /ca.pem}"
    )
    assert found == EndpointConfig(
        name="e", upstream="5000", url="a.test", bindings=("internal",), metadata="m", description="d",
        pooling_enabled=True, inspect=False, traffic_policy='{"on_http_request":[]}',
        upstream_protocol="http1", proxy_protocol="1", tls_verify=True, tls_verify_cas=Path("/ca.pem"),
        place="f.yml:2:5 endpoints[0]",
    )  # fmt: skip
    assert endpoint("upstream: {url: 1}, traffic_policy_url: http://x/y").traffic_policy_url == "http://x/y"
    assert endpoint("upstream: {url: 1}, traffic_policy_file: /p.yml").traffic_policy_file == Path("/p.yml")


def test_tls_ended_at_the_agent() -> None:
    found = endpoint(
        "url: tls://a.test, upstream: {url: tcp://x:1}, agent_tls_termination: {server_certificate: /c.pem, "
        "server_private_key: '-----BEGIN X-----', mutual_tls_certificate_authorities: /ca.pem}"
    )
    assert found.termination == Termination(
        certificate=Path("/c.pem"), key=b"-----BEGIN X-----", authorities=(Path("/ca.pem"),)
    )


@pytest.mark.row("K-26")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("  - upstream: {url: 80}", "f.yml:2:5 endpoints[0]: `name` is needed"),
        ("  - name: a", "`upstream.url` is needed"),
        ("  - name: a\n    upstream: 80", "f.yml:3:15 endpoints[0].upstream: an upstream is a map; write"),
        ("  - name: a\n    upstream: [80]", "f.yml:3:15 endpoints[0].upstream: a map is wanted, not a list"),
        ("  - name: a\n    upstream:", "f.yml:2:5 endpoints[0]: `upstream.url` is needed"),
        ("  - name: a\n    upstream: {url: ''}", "f.yml:3:15 endpoints[0].upstream: `upstream.url`"),
        ("  - name: a\n    upstream: {url: [1]}", "f.yml:3:21 endpoints[0].upstream.url: "),
        ("  - name: a\n    upstream: {url: 1}\n  - name: a\n    upstream: {url: 2}",
         "f.yml:4:11 endpoints[1].name: another endpoint, on line 2, is called 'a'"),
        ("  - name: a\n    url: htps://x\n    upstream: {url: 1}", "'htps' is no scheme of endpoints"),
        ("  - name: a\n    adr: 80\n    upstream: {url: 1}", "endpoints[0].adr: there is no such key"),
        ("  - name: a\n    addr: 80\n    upstream: {url: 1}", "in version 3 it is upstream: {url: …}"),
        ("  - name: a\n    bindings: [public, internal]\n    upstream: {url: 1}", "exactly one binding"),
        ("  - name: a\n    bindings: [local]\n    upstream: {url: 1}", "'local' is not one of public"),
        ("  - name: a\n    agent_tls_termination: {}\n    upstream: {url: 1}", "only an endpoint whose"),
        ("  - name: a\n    url: tls://\n    upstream: {url: 1}\n    agent_tls_termination: {}",
         "server_certificate and server_private_key are needed, both"),
        ("  - name: a\n    upstream: {url: 1}\n    traffic_policy: {}\n    traffic_policy_url: x",
         "traffic_policy_url: stands beside traffic_policy"),
        ("  a: {upstream: {url: 1}}", "f.yml:2:3 endpoints: a list is wanted"),
        ("  - 80", "an endpoint is a map"),
        ("  - name: a\n    description: " + "x" * 256 + "\n    upstream: {url: 1}", "longer than 255"),
        ("  - name: a\n    upstream: {url: 1, protocol: http3}", "one of http1, http2 is wanted"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_place(text: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoints(text)
    assert what in str(caught.value)
    assert str(caught.value).startswith("f.yml:")
    assert "\n" not in str(caught.value), "one mistake, one line"


def test_none_are_fine() -> None:
    assert endpoints("  # later\n") == {}
