"""Validation: every problem at once, with its code and its place."""

import pytest
from tests.kit.policy import NOW, begin, codes, facts, policy

from portway.model.identity import Person, ProviderApp, Tokens, VisitorSession
from portway.policy.actions import ALIASES, NOT_BUILT
from portway.policy.compiler import Target, World, compile_policy
from portway.policy.engine import Run
from portway.policy.identity import SignedIn
from portway.policy.limits import PolicyLimits
from portway.policy.phase import Phase
from portway.policy.problem import PolicyError
from portway.policy.verdict import Fetch, Respond

DENY = "{actions: [{type: deny}]}"
FORWARD = "{type: forward-internal, config: {url: 'https://a.internal', on_error: continue}}"
CONNECT = "{actions: [{type: close-connection}]}"


@pytest.mark.row("P-02")
@pytest.mark.parametrize(
    ("protocol", "internal", "phase", "wanted"),
    [
        ("https", False, "on_tcp_connect", []),
        ("http", False, "on_tcp_connect", []),
        ("https", True, "on_tcp_connect", [2262]),
        ("http", True, "on_tcp_connect", [2262]),
        ("https", True, "on_http_request", []),
        ("http", False, "on_http_request", []),
        ("tls", False, "on_tcp_connect", []),
        ("tcp", False, "on_tcp_connect", []),
        ("tls", False, "on_http_request", [2230]),
        ("tcp", False, "on_http_response", [2230]),
        ("tcp", True, "on_event_stream_message", [2230]),
        ("ftp", False, "on_http_request", [2229]),
        ("https", False, "on_http_requests", [2203]),
    ],
)
def test_phases_of_protocols(protocol: str, internal: bool, phase: str, wanted: list[int]) -> None:
    rule = CONNECT if phase == "on_tcp_connect" else DENY
    if phase in {"on_http_response", "on_event_stream_message"}:
        rule = "{actions: []}"
    assert codes(f"{phase}: [{rule}]", Target(protocol, internal)) == wanted


@pytest.mark.row("P-02", "P-03", "P-05")
@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ("on_http_request: [{actions: [{type: nothing}]}]", [2201]),
        ("on_http_request: [{actions: [{}]}]", [2201]),
        ("on_http_request: [{actions: [{type: [deny]}]}]", [2201]),
        ("on_http_response: [{actions: [{type: deny}]}]", [2202]),
        ("on_http_request: [{actions: [{type: terminate-tls}]}]", [2202]),
        ("on_http_request: [{actions: [{type: deny, config: {status: 1}}]}]", [2203]),
        ("on_http_request: [{actions: [{type: deny, conf: {}}]}]", [2203]),
        ("on_http_request: [{actions: [{type: deny}], expression: x}]", [2203]),
        ("on_http_request: [{actions: [{type: deny, config: [1]}]}]", [2203]),
        ("on_http_request: [{actions: [deny]}]", [2203]),
        ("on_http_request: [deny]", [2203]),
        ("on_http_request: {actions: []}", [2203]),
        ("on_http_request: [{actions: {type: deny}}]", [2203]),
        ("{}", [2206]),
        ("on_http_request:", [2206]),
        ("on_http_request: []", [2206]),
        ("on_http_request: [{name: x}]", [2206]),
        ("on_http_request: [{actions: []}]", [2206]),
        ("on_http_request: [{actions: [{type: deny}, {type: deny}, {type: deny}]}]", [2207]),
        (f"on_http_request: [{DENY}, {DENY}, {DENY}]", [2207]),
        (f"on_http_request: [{{name: {'x' * 256}, actions: [{{type: deny}}]}}]", [2208]),
        ("on_http_request: [{expressions: ['1'], actions: [{type: deny}]}]", [2200]),
        ("on_http_request: [{expressions: [true], actions: [{type: deny}]}]", []),
        ("on_http_request: [{expressions: [''], actions: [{type: deny}]}]", [2200]),
        ("on_http_request: [{expressions: [[1]], actions: [{type: deny}]}]", [2200]),
        ("on_http_request: [{expressions: 'true', actions: [{type: deny}]}]", [2228]),
        ("on_http_request: [{expressions: ['vars.x'], actions: [{type: deny}]}]", []),
        ("on_http_request: [{actions: [{type: deny, config: {status_code: 1000}}]}]", [2215]),
        ("on_http_request: [{actions: [{type: deny, config: {status_code: x}}]}]", [2228]),
        ("on_http_request: [{actions: [{type: deny, config: {status_code: '404'}}]}]", []),
        ("on_http_request: [{actions: [{type: deny, config: null}]}]", []),
        ("on_http_request: [{expressions: null, name: null, actions: [{type: deny}]}]", []),
    ],
)
def test_rules_and_actions(document: str, wanted: list[int]) -> None:
    assert codes(document) == wanted


def test_an_action_that_a_protocol_lacks() -> None:
    document = "on_tcp_connect: [{actions: [{type: terminate-tls}]}]"
    assert codes(document, Target("tcp")) == [2205]
    assert codes(document, Target("tls")) == []


@pytest.mark.parametrize("name", [*NOT_BUILT, *(k for k, v in ALIASES.items() if v in NOT_BUILT)])
def test_what_is_known_and_not_built_is_refused_with_a_sentence(name: str) -> None:
    """The honesty rule: never skipped."""
    with pytest.raises(PolicyError, match="not supported by this service yet") as caught:
        policy(f"on_http_request: [{{actions: [{{type: {name}, config: {{anything: 1}}}}]}}]")
    assert [each.code for each in caught.value.problems] == [2201]


@pytest.mark.row("P-03")
def test_everything_that_is_wrong_is_told_at_once_and_in_order() -> None:
    with pytest.raises(PolicyError) as caught:
        policy(
            """\
            on_http_request:
              - expressions:
                  - "req.methd == 'GET'"
                actions:
                  - type: nothing
                  - type: deny
                    config: {status_code: 200, x: 1}
            on_tcp_connects: []
            """
        )
    found = [(each.code, each.line, each.column, each.path) for each in caught.value.problems]
    assert found == [
        (2200, 3, 9, "on_http_request[0].expressions[0]"),
        (2201, 5, 15, "on_http_request[0].actions[0].type"),
        (2215, 7, 31, "on_http_request[0].actions[1].config.status_code"),
        (2203, 7, 36, "on_http_request[0].actions[1].config"),
        (2203, 8, 1, ""),
    ]
    assert caught.value.code == "ERR_NGROK_2200"
    assert "3:9: on_http_request[0].expressions[0]: there is no variable" in caught.value.message


@pytest.mark.parametrize(
    ("limits", "document", "wanted"),
    [
        (PolicyLimits(rules=2), f"on_http_request: [{DENY[:-1]}, expressions: ['true']}}, {DENY}]", []),
        (PolicyLimits(rules=1), f"on_http_request: [{DENY}]\non_tcp_connect: [{DENY}]", [2264]),
        (PolicyLimits(actions=1), "on_http_request: [{actions: [{type: deny}, {type: deny}]}]", [2265]),
        (
            PolicyLimits(expressions=1),
            "on_http_request: [{expressions: ['true', 'true'], actions: [{type: deny}]}]",
            [2265],
        ),
        (PolicyLimits(problems=2), "a: 1\nb: 1\nc: 1\nd: 1", [2203, 2203]),
        (
            PolicyLimits(expression=3),
            "on_http_request: [{expressions: ['true'], actions: [{type: deny}]}]",
            [2200],
        ),
    ],
)
def test_limits(limits: PolicyLimits, document: str, wanted: list[int]) -> None:
    try:
        compile_policy(document, limits=limits)
        found: list[int] = []
    except PolicyError as error:
        found = [each.code for each in error.problems]
    assert found == wanted


@pytest.mark.row("P-05")
@pytest.mark.parametrize(
    ("protocol", "document", "wanted"),
    [
        ("https", f"on_http_request: [{DENY}]", []),
        ("https", "on_http_request: [{expressions: ['true'], actions: [{type: deny}]}]", [2235]),
        ("https", "on_http_request: [{actions: [{type: log, config: {metadata: {a: b}}}]}]", [2235]),
        ("https", f"on_tcp_connect: [{DENY}]", [2235]),
        ("https", "on_http_request: [{actions: [{type: custom-response}]}]", []),
        (
            "https",
            "on_http_request: [{actions: [{type: forward-internal, config: {url: 'https://a.internal'}}]}]",
            [],
        ),
        (
            "https",
            f"on_http_request: [{{actions: [{FORWARD}]}}]",
            [2235],
        ),
        ("tcp", f"on_tcp_connect: [{DENY}]", []),
        (
            "tcp",
            "on_tcp_connect: [{actions: [{type: restrict-ips, config: {allow: ['0.0.0.0/0']}}]}]",
            [2235],
        ),
    ],
)
def test_a_cloud_endpoint_s_policy_ends_everything(protocol: str, document: str, wanted: list[int]) -> None:
    assert codes(document, Target(protocol, cloud=True)) == wanted
    assert codes(document, Target(protocol)) == []


def test_a_policy_says_what_it_looks_at() -> None:
    made = policy(
        """
        on_http_request:
          - expressions: ["req.headers['a'] == [] && has(req.url.port)"]
            actions: [{type: custom-response, config: {body: "${conn.tls.ja4_fingerprint} x ${vars.y}"}}]
        """
    )
    assert made.names == {"req.headers", "req.url.port", "conn.tls.ja4_fingerprint", "vars"}


@pytest.mark.row("P-04")
def test_documents_of_before_october_2024() -> None:
    old = f"inbound: [{DENY}]\noutbound: [{{actions: [{{type: remove-headers, config: {{headers: [a]}}}}]}}]"
    made = policy(old)
    assert made.has(Phase.HTTP_REQUEST)
    assert made.has(Phase.HTTP_RESPONSE)
    assert policy(f"inbound: [{DENY}]", "tcp").has(Phase.TCP_CONNECT)
    assert not policy(f"enabled: false\ninbound: [{DENY}]").has(Phase.HTTP_REQUEST)
    assert policy(f"enabled: true\ninbound: [{DENY}]").has(Phase.HTTP_REQUEST)
    assert codes(f"enabled: maybe\ninbound: [{DENY}]") == [2228]
    assert codes(f"inbound: [{DENY}]\non_http_request: [{DENY}]") == [2203]
    assert codes(f"inbound: [{DENY}]\noutbound: []", Target("tcp")) == [2230]


SAMPLE = """\
on_http_request:
  - actions:
      - type: rate-limit
        config:
          name: client-ip-rate-limit
          algorithm: sliding_window
          capacity: 30
          rate: 60s
          bucket_key:
            - conn.client_ip
  - actions:
      - type: oauth
        config:
          provider: google
  - expressions:
      - "!actions.ngrok.oauth.identity.email.endsWith('@acme.com')"
    actions:
      - type: deny
  - actions:
      - type: custom-response
        config:
          status_code: 200
          content: "Hello, ${actions.ngrok.oauth.identity.name}!"
"""
"""The policy that the ngrok-go documentation shows."""
APP = World(extra={"oauth_providers": {"google": ProviderApp("id", "secret")}})


@pytest.mark.row("G-010", "G-011", "G-012", "G-016", "G-017")
def test_the_sample_of_the_documentation_lacks_only_its_provider() -> None:
    assert codes(SAMPLE) == []  # whether there is an application is known to a service alone
    with pytest.raises(PolicyError, match=r"oauth\.providers\.google\.client_id") as raised:
        compile_policy(SAMPLE, world=World(extra={"oauth_providers": {}}))
    assert raised.value.code == "ERR_NGROK_2232"
    assert compile_policy(SAMPLE, world=APP).has(Phase.HTTP_REQUEST)


@pytest.mark.row("G-013", "G-014", "G-015", "P-40")
def test_the_sample_of_the_documentation_limits_each_address_and_greets_its_people() -> None:
    compiled = compile_policy(SAMPLE, world=APP)
    state: dict[str, object] = {}

    def ask(address: str) -> Run:
        return begin(compiled, known=facts(client_ip=address), state=state)

    def signed_in(email: str) -> SignedIn:
        person = Person("google", "https://accounts.google.com", "1", email, "Ada")
        about = {"realm": "", "client": "", "settings": "", "person": person, "tokens": Tokens()}
        times = dict.fromkeys(("created_at", "last_active", "refreshed_at", "expires_at"), NOW)
        return SignedIn(VisitorSession("as_1", "ac_1", "au_1", **about, **times), "id")  # type: ignore[arg-type]

    for _ in range(29):
        assert isinstance(ask("192.0.2.1").step(), Fetch)  # who is it?
    last = ask("192.0.2.1")
    assert isinstance(last.step(), Fetch)
    assert last.resume(signed_in("ada@elsewhere.example")) == Respond(403)
    refused = ask("192.0.2.1").step()
    assert isinstance(refused, Respond)
    assert (refused.status, dict(refused.headers)[b"retry-after"]) == (429, b"60")
    other = ask("192.0.2.2")
    assert isinstance(other.step(), Fetch)
    answer = other.resume(signed_in("ada@acme.com"))
    assert isinstance(answer, Respond)
    assert (answer.status, answer.body, answer.final) == (200, b"Hello, Ada!", False)


def test_what_needs_an_operator_s_file_is_refused_without_it() -> None:
    """Decision 16: expressions that need a database are refused, never false."""
    document = (
        "on_http_request: [{expressions: ['conn.geo.country_code == \"DE\"'], actions: [{type: deny}]}]"
    )
    assert codes(document) == [2200]
    with pytest.raises(PolicyError, match="GeoIP database"):
        compile_policy(document)
    from portway.policy.geo import Geo

    assert codes(document, world=World(geo=lambda _: Geo())) == []


def test_a_list_of_ten_thousand_ranges_is_compiled() -> None:
    ranges = "\n".join(f"          - 10.{i // 250}.{i % 250}.0/24" for i in range(10_000))
    document = (
        f"on_tcp_connect:\n  - actions:\n    - type: restrict-ips\n      config:\n        allow:\n{ranges}\n"
    )
    compile_policy(document, limits=PolicyLimits(document=1 << 20))


@pytest.mark.row("P-35")
def test_a_hostile_regular_expression_is_refused() -> None:
    """RE2 has no look-around and bounds a pattern's memory."""
    for pattern in ("(?=a)b", "((a{1000}){1000}){1000}", "(", "\\\\1"):
        rule = f'{{type: url-rewrite, config: {{from: "{pattern}", to: x}}}}'
        assert codes(f"on_http_request: [{{actions: [{rule}]}}]") == [2261], pattern


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("on_http_request: [{actions: [{type: custom-respons}]}]", "did you mean 'custom-response'?"),
        ("on_http_request: [{actions: [{type: add_header}]}]", "did you mean 'add-headers'?"),
        ("on_http_request: [{actions: [{type: xyz}]}]", "there is no action type 'xyz'"),
        ("on_http_request: [{actions: [{type: deny, confg: {}}]}]", "did you mean 'config'?"),
        (
            "on_http_request: [{actions: [{type: deny, config: {status-code: 404}}]}]",
            "did you mean 'status_code'?",
        ),
        ("on_http_response: [{actions: [{type: deny}]}]", "only in on_tcp_connect and on_http_request"),
        ("inbound: [{actions: [{type: deny}]}]\non_http_request: []", "inbound means on_http_request"),
        ("on_http_request: []\ninbound: [{actions: [{type: deny}]}]", "inbound means on_http_request"),
        ("on_http_request: [{actions: [{type: deny}], expressions: ['${true}']}]", "without '${…}'"),
        (
            "on_http_request: [{actions: [{type: remove-headers, config: {headers: [Host]}}]}]",
            "host cannot be removed; add-headers replaces it",
        ),
        (
            "on_http_request: [{actions: [{type: custom-response, config: {status_code: 204, body: x}}]}]",
            "an answer with status 204 has no body",
        ),
    ],
)
def test_mistakes_are_told_with_what_was_meant(document: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        compile_policy(document)
    assert told in caught.value.problems[0].message
