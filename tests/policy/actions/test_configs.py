"""Settings of actions: what is accepted, and which code each mistake has. What they do: the other files."""

from textwrap import indent

import pytest
from tests.kit import mutual
from tests.kit.policies import action
from tests.kit.policy import codes

RATE = "name: n\nalgorithm: sliding_window\ncapacity: 1\nrate: 60s\nbucket_key: [conn.client_ip]"
PEM = mutual.authority().pem.decode()

GOOD = [
    ("add-headers", "headers: {x-a: 1, x-b: true, X-C: '${req.method}'}", "on_http_request"),
    ("remove-headers", "headers: [X-A, server]", "on_http_response"),
    ("basic-auth", "credentials: ['ada:correct horse', {username: bob, password: 'battery:staple'}]", ""),
    (
        "basic-auth",
        "credentials: ['${vars.pair}', '${vars.u}:${vars.p}', 'a${vars.u}b:x${vars.p}']\nrealm: 'a b'",
        "",
    ),
    (
        "restrict-ips",
        "allow: ['10.0.0.0/8', '::1', '${req.headers[\"n\"][0]}']\ndeny: [10.1.2.3]",
        "on_http_response",
    ),
    ("user-agent-filter", "allow: ['^good']\ndeny: [bad]", ""),
    ("circuit-breaker", "error_threshold: 0", ""),
    (
        "circuit-breaker",
        "error_threshold_percentage: 0.5\nrolling_window: 1m\nnum_buckets: 10\nenforce: false",
        "",
    ),
    (
        "rate-limit",
        (
            "name: n\nalgorithm: sliding_window\ncapacity: 2000000000\nrate: 24h\n"
            "bucket_key: [conn.client_ip, '1']"
        ),
        "",
    ),
    ("custom-response", "content: hi\nstatus_code: 299\nheaders: {x: y}", "on_http_response"),
    ("deny", "status_code: 599", ""),
    ("redirect", "from: '^http:'\nto: 'https:'\nstatus_code: 308\nheaders: {x: y}", ""),
    ("url-rewrite", "from: 'a(b)'\nto: '$1'", ""),
    ("log", "metadata: {a: {b: ['${req.method}', 1, null]}}", "on_http_response"),
    ("set-vars", "vars: [{a: 1}, {b: [1, {c: '${vars.a}'}]}, {a: null}]", ""),
    ("forward-internal", "url: http://a.internal\nbinding: internal\non_error: continue", ""),
    ("forward-internal", "url: 'https://${req.host}.internal:8443'", ""),
    ("compress-response", "{}", "on_http_response"),
    ("compress-response", "algorithms: [br, gzip, zstd, compress, deflate]", "on_http_response"),
    ("request-body-find-replace", "replacements: [{from: '[0-9]+'}, {from: a, to: '$0'}]", ""),
    ("response-body-find-replace", "replacements: [{from: '${req.method}', to: b}]", "on_http_response"),
    ("sse-find-replace", "replacements: [{from: a, to: b, field: retry}]", "on_event_stream_message"),
    ("terminate-tls", "{}", "on_tcp_connect"),
]

BAD = [
    ("add-headers", "{}", "on_http_request", 2234),
    ("add-headers", "headers: {}", "on_http_request", 2223),
    ("add-headers", f"headers: {{{', '.join(f'x-{n}: y' for n in range(11))}}}", "on_http_request", 2212),
    ("add-headers", "headers: {user-agent: x}", "on_http_request", 2210),
    ("add-headers", "headers: {content-length: 3}", "on_http_request", 2210),
    ("add-headers", "headers: {ngrok-error-code: x}", "on_http_request", 2210),
    ("add-headers", "headers: {'a b': x}", "on_http_request", 2210),
    ("add-headers", "headers: {%s: x}" % ("a" * 300), "on_http_request", 2208),
    ("add-headers", "headers: {a: %s}" % ("x" * 9000), "on_http_request", 2209),
    ("add-headers", 'headers: {a: "x\\ny"}', "on_http_request", 2211),
    ("add-headers", "headers: {a: '${nothing.here}'}", "on_http_request", 2213),
    ("add-headers", "headers: {a: b}\nmore: 1", "on_http_request", 2203),
    ("remove-headers", "headers: [User-Agent]", "on_http_request", 2210),
    ("remove-headers", "headers: [host]", "on_http_request", 2210),
    ("remove-headers", "headers: [transfer-encoding]", "on_http_request", 2210),
    ("basic-auth", "credentials: []", "on_http_request", 2223),
    (
        "basic-auth",
        f"credentials: {[f'u{n}:password' for n in range(11)]}",
        "on_http_request",
        2218,
    ),
    ("basic-auth", "credentials: [nocolon]", "on_http_request", 2257),
    ("basic-auth", "credentials: ['u:short']", "on_http_request", 2237),
    ("basic-auth", "credentials: ['u:%s']" % ("x" * 129), "on_http_request", 2221),
    ("basic-auth", 'credentials: ["u\\x01:password"]', "on_http_request", 2257),
    ("basic-auth", 'credentials: ["u:pass\\x02word"]', "on_http_request", 2258),
    ("basic-auth", "credentials: ['${vars.x}password']", "on_http_request", 2204),
    ("basic-auth", "credentials: ['u:password']\nrealm: ü", "on_http_request", 2204),
    ("basic-auth", "credentials: ['u:password']\nrealm: %s" % ("x" * 129), "on_http_request", 2221),
    ("restrict-ips", "allow: [10.0.0.0/33]", "on_http_request", 2217),
    ("restrict-ips", "ip_policies: [ipp_none]", "on_http_request", 2216),
    ("user-agent-filter", "allow: ['(']", "on_http_request", 2090),
    ("circuit-breaker", "error_threshold: 1.1", "on_http_request", 2215),
    ("circuit-breaker", "error_threshold: 1\nvolume_threshold: 0", "on_http_request", 2215),
    ("circuit-breaker", "error_threshold: 1\nwindow_duration: 500ms", "on_http_request", 2237),
    ("circuit-breaker", "error_threshold: 1\ntripped_duration: 3m", "on_http_request", 2225),
    ("circuit-breaker", "error_threshold: 1\nnum_buckets: 11", "on_http_request", 2219),
    ("rate-limit", RATE.replace("60s", "59s"), "on_http_request", 2237),
    ("rate-limit", RATE.replace("60s", "25h"), "on_http_request", 2225),
    ("rate-limit", RATE.replace("60s", "65s"), "on_http_request", 2204),
    ("rate-limit", RATE.replace("capacity: 1", "capacity: 0"), "on_http_request", 2215),
    ("rate-limit", RATE.replace("sliding_window", "leaky"), "on_http_request", 2222),
    ("rate-limit", RATE.replace("[conn.client_ip]", "[]"), "on_http_request", 2223),
    (
        "rate-limit",
        RATE.replace("[conn.client_ip]", str(["'1'"] * 11)),
        "on_http_request",
        2218,
    ),
    ("rate-limit", RATE.replace("[conn.client_ip]", "['${conn.client_ip}']"), "on_http_request", 2200),
    ("rate-limit", RATE.replace("name: n", "name: %s" % ("n" * 1024)), "on_http_request", 2221),
    ("custom-response", "status_code: 600", "on_http_request", 2215),
    ("custom-response", "body: a\ncontent: b", "on_http_request", 2203),
    ("custom-response", "headers: {transfer-encoding: chunked}", "on_http_request", 2210),
    ("deny", "status_code: 200", "on_http_request", 2215),
    ("deny", "{}", "on_http_response", 2202),
    ("redirect", "to: x\nstatus_code: 200", "on_http_request", 2222),
    ("redirect", "from: '('\nto: x", "on_http_request", 2261),
    ("redirect", "location: x\nto: y", "on_http_request", 2203),
    ("redirect", "from: '(?=a)'\nto: x", "on_http_request", 2261),
    ("url-rewrite", "from: a", "on_http_request", 2234),
    ("log", "{}", "on_http_request", 2234),
    ("log", "metadata: text", "on_http_request", 2228),
    ("log", "metadata: {a: '${'}", "on_http_request", 2224),
    ("set-vars", "vars: {a: 1}", "on_http_request", 2228),
    ("set-vars", "vars: [{a: 1, b: 2}]", "on_http_request", 2252),
    ("set-vars", "vars: [a]", "on_http_request", 2252),
    ("set-vars", "vars: [{a: [[[[[[[[[1]]]]]]]]]}]", "on_http_request", 2250),
    ("set-vars", "vars: [{'a b': 1}]", "on_http_request", 2204),
    ("forward-internal", "{}", "on_http_request", 2234),
    ("forward-internal", "url: https://example.com", "on_http_request", 2226),
    ("forward-internal", "url: tcp://a.internal:1", "on_http_request", 2226),
    ("forward-internal", "url: https://a.internal/path", "on_http_request", 2226),
    ("forward-internal", "url: https://a.internal\non_error: maybe", "on_http_request", 2222),
    ("request-body-find-replace", "replacements: []", "on_http_request", 2223),
    ("request-body-find-replace", "replacements: [{to: x}]", "on_http_request", 2234),
    ("request-body-find-replace", "replacements: [{from: '['}]", "on_http_request", 2261),
    ("compress-response", "algorithms: [lzma]", "on_http_response", 2214),
    ("compress-response", "algorithms: [gzip, gzip]", "on_http_response", 2231),
    ("compress-response", "algorithms: [compress]", "on_http_response", 2214),
    ("terminate-tls", "mutual_tls_verification_strategy: require-and-verify", "on_tcp_connect", 2240),
    ("terminate-tls", "mutual_tls_certificate_authorities: []", "on_tcp_connect", 2223),
    ("forward-internal", "{url: 'https://a.internal', binding: public}", "on_http_request", 2222),
    ("compress-response", "{}", "on_http_request", 2202),
    ("sse-find-replace", "replacements: [{from: a, field: id}]", "on_event_stream_message", 2222),
    ("terminate-tls", "min_version: 1.1", "on_tcp_connect", 2222),
    ("terminate-tls", "min_version: 1.3\nmax_version: 1.2", "on_tcp_connect", 2204),
    ("terminate-tls", "server_certificate: |\n" + indent(PEM, "  "), "on_tcp_connect", 2240),
    ("terminate-tls", "server_certificate: x\nserver_private_key: y", "on_tcp_connect", 2204),
    ("terminate-tls", "mutual_tls_certificate_authorities: [ca_none]", "on_tcp_connect", 1672),
    ("terminate-tls", "mutual_tls_certificate_authorities: [x]", "on_tcp_connect", 1695),
    ("terminate-tls", "mutual_tls_verification_strategy: maybe", "on_tcp_connect", 2222),
]


@pytest.mark.row("P-03")
@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.row("P-03")
@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]
