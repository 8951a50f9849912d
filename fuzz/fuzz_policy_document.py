"""Any text is a policy or refused with problems that stand inside of it; and what is a policy decides on any
request without a failure of our own, in bounded time and memory.
"""

import random
from random import Random
from typing import Final

from portway.policy.compiler import Target, World, compile_policy
from portway.policy.facts import Connection, Facts, Request, Response
from portway.policy.geo import Geo
from portway.policy.phase import Phase
from portway.policy.problem import PolicyError

_ACTIONS: Final = [
    "{type: deny, config: {status_code: 403}}",
    "{type: close-connection}",
    "{type: custom-response, config: {status_code: 200, body: 'hi ${req.method}', headers: {a: 'b ${1}'}}}",
    "{type: add-headers, config: {headers: {x-a: \"${req.headers['b']}\", host: c}}}",
    "{type: remove-headers, config: {headers: [a, b]}}",
    "{type: restrict-ips, config: {enforce: true, allow: [10.0.0.0/8, '::/0'], deny: ['${conn.client_ip}']}}",
    "{type: rate-limit, config: {name: n,algorithm: sliding_window, capacity: 1, rate: 1m, bucket_key: [1]}}",
    "{type: circuit-breaker, config: {error_threshold: 0.5, volume_threshold: 1, window_duration: 10s}}",
    "{type: basic-auth, config: {credentials: ['user:password1'], realm: r}}",
    "{type: set-vars, config: {vars: [{a: 1}, {b: [1, {c: '${vars.a}'}]}]}}",
    "{type: log, config: {metadata: {a: '${vars}', b: [1, null]}}}",
    "{type: url-rewrite, config: {from: '/a(b+)', to: '/$1'}}",
    "{type: redirect, config: {from: 'https', to: 'http', status_code: 301}}",
    "{type: compress-response, config: {algorithms: [gzip, br]}}",
    "{type: forward-internal, config: {url: 'https://a.internal', on_error: continue}}",
    "{type: request-body-find-replace, config: {replacements: [{from: a, to: b}]}}",
    "{type: oauth, config: {provider: google}}",
]
_DOCUMENT: Final = """\
on_http_request:
  - name: a rule
    expressions: ["req.method == 'GET' && conn.geo.city == ''", "!('x' in req.headers)"]
    actions: [%s]
  - actions: [%s]
on_http_response: [{actions: [%s]}]
"""

SEEDS: Final = [
    b"\x00on_http_request: [{actions: [{type: deny}]}]",
    b'\x01{"on_http_request":[{"actions":[{"type":"deny"}]}]}',
    b"\x02on_tcp_connect: [{actions: [{type: restrict-ips, config: {allow: [1.2.3.4/8]}}, {type: deny}]}]",
    b"\x03on_tcp_connect:\n- actions:\n  - type: terminate-tls\n    config: {min_version: 1.2}\n",
    b"\x04inbound: [{actions: [{type: deny}]}]\nenabled: true\noutbound: []\n",
    b"\x05a: &a [1, 2]\nb: *a\n",
    b"\x00on_event_stream_message: [{actions: [{type: sse-find-replace, config: {replacements: []}}]}]",
    *(b"\x00" + (_DOCUMENT % (each, each, each)).encode() for each in _ACTIONS),
    *(b"\x00on_http_request: [{actions: [" + each.encode() + b"]}]" for each in _ACTIONS),
    *(b"\x00on_http_response: [{actions: [" + each.encode() + b"]}]" for each in _ACTIONS[2:5]),
]
WORDS: Final = [
    text.encode()
    for text in (
        "on_http_request", "on_http_response", "on_tcp_connect", "inbound", "actions", "expressions",
        "name", "type",
        "config", "&a ", "*a", "!", "!!str ", "<<", "\n", "\t", "  ", ": ", "- ", "[", "]", "{",
        ", ", "'", '"', "|",
        ">", "#", "---", "...", "null", "true", "~", "0x1", "1e9", "1:30", "\\ud800", "\\u0000",
        "\u2028", "\x85", "\0",
        "${", "}", "$${", "${vars}", "${req.url}", "1h30m", "-1", "99999999999999999999", "headers",
        "status_code", "body",
        "url", "from", "to", "enforce", "deny", "custom-response", "(", ")", "[a-z]*", "$1", "\r\n",
        "%00", "::1/128",
    )
]  # fmt: skip
LONGEST: Final = 3000

_TARGETS: Final = (
    Target("https"), Target("https", internal=True), Target("tcp"), Target("tls"), Target("http"),
    Target("https", cloud=True),
)  # fmt: skip
_WORLD: Final = World(geo=lambda _: Geo(), categories=True, ip_policy=lambda _: None)


def check(data: bytes) -> None:
    """The first byte chooses the endpoint; the rest is the document, lone surrogates included."""
    if not data:
        return
    target, text = _TARGETS[data[0] % len(_TARGETS)], data[1:].decode("utf-8", "surrogateescape")
    try:
        policy = compile_policy(text, target, world=_WORLD)
    except PolicyError as error:
        lines = len(text.splitlines())
        for problem in error.problems:
            if not 1 <= problem.line <= lines + 2 or problem.column < 1 or not 2000 <= problem.code < 2300:
                raise AssertionError(f"a problem without a place: {problem!r}") from error
        return
    state: dict[str, object] = {}
    for phase in (Phase.TCP_CONNECT, Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE):
        if not policy.has(phase):
            continue
        for client in ("10.0.0.1", "::1"):
            facts = Facts(Connection(client))
            if phase is not Phase.TCP_CONNECT:
                sent = [(b"host", b"a.example"), (b"X", b"\xff"), (b"accept-encoding", b"br;q=1")]
                facts.request = Request(authority="a.example", target="/abb?x=1&y", fields=sent)
            if phase is Phase.HTTP_RESPONSE:
                facts.response = Response(500, [(b"content-type", b"text/html"), (b"set-cookie", b"a=b")])
            run = policy.begin(phase, facts, state, now=1.0, monotonic=1.0, random=Random(1))
            verdict = run.step()
            if any(each.code == 2300 for each in run.diagnostics):
                raise AssertionError(f"our own failure: {run.diagnostics!r}, {verdict!r}")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Put one of the actions, or a word, in the place of another."""
    made = bytearray(data)
    at = rng.randint(0, len(made))
    new = rng.choice(_ACTIONS).encode() if rng.random() < 0.2 else rng.choice(WORDS)
    made[at : at + rng.choice((0, 0, 1, 4, 20))] = new
    return bytes(made)
