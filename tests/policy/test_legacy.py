"""Module options of older agents as rules of a policy."""

import json
from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace as changed
from tests.kit.policy import begin

from portway.codec.document import Node
from portway.errors import Error
from portway.model.identity import Person, Tokens, VisitorSession
from portway.policy.compiler import Target, compile_policy
from portway.policy.identity import IdentitySettings, SignedIn
from portway.policy.legacy import document_of
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Fetch, Respond


def read(modules: dict[str, Any], text: str = "", protocol: str = "https") -> Any:
    """Return the document as plain values; it must compile."""
    made = document_of(modules, text, protocol)
    assert isinstance(made, Node)
    compile_policy(made, Target(protocol))
    return json.loads(made.json())


def actions(modules: dict[str, Any], phase: str = "on_http_request", protocol: str = "https") -> list[Any]:
    return [action for rule in read(modules, protocol=protocol)[phase] for action in rule["actions"]]


def test_no_module_leaves_the_text_alone() -> None:
    assert document_of({}, "a: b", "https") == "a: b"
    assert document_of({"Compression": None, "Auth": ""}, "", "https") == ""


@pytest.mark.row("P-60")
def test_each_module_is_a_rule() -> None:
    assert actions({"Compression": {}}, "on_http_response") == [
        {"type": "compress-response", "config": {"algorithms": ["gzip", "deflate"]}}
    ]
    assert actions({"CircuitBreaker": {"error_threshold": 0.5}}) == [
        {"type": "circuit-breaker", "config": {"error_threshold": 0.5, "volume_threshold": 20}}
    ]
    assert actions({"UserAgentFilter": {"allow": ["a"], "deny": []}}) == [
        {"type": "user-agent-filter", "config": {"allow": ["a"], "deny": []}}
    ]
    assert actions({"IPRestriction": {"allow_cidrs": ["10.0.0.0/8"]}}) == [
        {"type": "restrict-ips", "config": {"allow": ["10.0.0.0/8"], "deny": []}}
    ]


@pytest.mark.row("T-013")
def test_addresses_are_restricted_on_every_protocol() -> None:
    module = {"IPRestriction": {"allow_cidrs": ["::/0"], "deny_cidrs": ["::1"]}}
    for protocol in ("tcp", "tls"):
        [action] = actions(module, "on_tcp_connect", protocol)
        assert action["type"] == "restrict-ips"


def test_passwords_are_taken_as_they_are() -> None:
    credentials = [{"username": "ada", "cleartext_password": "${1+1}secret"}]
    made = document_of({"BasicAuth": {"credentials": credentials}}, "", "https")
    compile_policy(made)
    assert actions({"BasicAuth": {"credentials": credentials}})[0]["config"] == {
        "credentials": ["ada:$${1+1}secret"]
    }
    assert actions({"Auth": "u:pass:word"})[0]["config"] == {"credentials": ["u:pass:word"]}


def test_headers_are_removed_before_they_are_added() -> None:
    module: dict[str, Any] = {
        "add": ["x-a: 1:2", "host: h"],
        "remove": ["x-a", "Host"],
        "addParsed": {"ignored": "y"},
    }
    for name, phase in (("RequestHeaders", "on_http_request"), ("ResponseHeaders", "on_http_response")):
        assert actions({name: module}, phase) == [
            {"type": "remove-headers", "config": {"headers": ["x-a"]}},
            {"type": "add-headers", "config": {"headers": {"x-a": "1:2", "host": "h"}}},
        ]
    assert actions({"RequestHeaders": {"addParsed": {"x-b": "v"}}})[0]["config"] == {"headers": {"x-b": "v"}}


@pytest.mark.row("P-60")
def test_modules_come_before_the_rules_of_the_text_in_either_spelling() -> None:
    module: dict[str, Any] = {"Compression": {}, "Auth": "u:password"}
    for request, response in (("on_http_request", "on_http_response"), ("inbound", "outbound")):
        text = json.dumps(
            {
                request: [{"actions": [{"type": "deny"}]}],
                response: [{"actions": [{"type": "log", "config": {"metadata": {"a": 1}}}]}],
            }
        )
        made = read(module, text)
        assert [rule["actions"][0]["type"] for rule in made[request]] == ["basic-auth", "deny"]
        assert [rule["actions"][0]["type"] for rule in made[response]] == ["compress-response", "log"]


ADA = Person("google", "u", "ada")
LOGIN = VisitorSession(
    "appsess_1", "ac_1", "appusr_1", "r", "c", "s", ADA, Tokens(), 1.0, 2.0, 3.0, 4.0,
)  # fmt: skip


@pytest.mark.row("P-60")
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("OAuth", {"provider": "google"}),
        (
            "OIDC",
            {"issuer_url": "https://idp.example", "client_id": "i${", "client_secret": "s", "scopes": ["g"]},
        ),
    ],
)
@pytest.mark.parametrize(
    ("email", "enters"),
    [
        ("ada@example.com", True), ("Bob@Allowed.example", True), ("eve@sub.allowed.example", False),
        ("eve@notallowed.example", False), ("", False),
    ],
)  # fmt: skip
def test_logins_of_old_ask_and_then_deny_who_is_in_no_list(
    name: str, module: dict[str, Any], email: str, enters: bool
) -> None:
    lists = {"allow_emails": ["ADA@example.com"], "allow_domains": ["allowed.example"]}
    run = begin(compile_policy(document_of({name: module | lists}, "", "https")))
    asked = run.step()
    assert isinstance(asked, Fetch)
    settings = asked.arguments["settings"]
    assert isinstance(settings, IdentitySettings)
    assert settings.prefix == "/auth"
    session = changed(LOGIN, person=changed(LOGIN.person, email=email))
    verdict = run.resume(SignedIn(session, "i"))
    assert (verdict is CONTINUE) is enters
    if not enters:
        assert isinstance(verdict, Respond)
        assert verdict.status == 403


def test_names_in_lists_are_texts_and_nothing_else() -> None:
    lists = {"allow_domains": ['x" || true || "', "y'z\\"]}
    run = begin(compile_policy(document_of({"OAuth": {"provider": "google"} | lists}, "", "https")))
    run.step()
    verdict = run.resume(SignedIn(LOGIN, "i"))
    assert isinstance(verdict, Respond)
    assert verdict.status == 403


@pytest.mark.row("P-04", "P-60")
def test_the_structured_form_of_a_policy() -> None:
    config = b64encode(b'{"status_code": 404}').decode()
    rule = {"Name": "n", "Expressions": ["true"], "Actions": [{"Type": "deny", "Config": config}]}
    text = document_of({"Policy": {"Inbound": [rule], "Outbound": None}}, "", "https")
    assert isinstance(text, str)
    compile_policy(text)
    assert json.loads(text)["inbound"][0]["actions"] == [{"type": "deny", "config": {"status_code": 404}}]


@pytest.mark.parametrize(
    ("modules", "protocol", "code"),
    [
        ({"OAuth": {}}, "https", 365),
        ({"OAuth": {"provider": "google", "client_id": "x", "sealed_client_secret": "eA=="}}, "https", 2201),
        ({"OIDC": {"issuer_url": "https://a.example"}}, "tcp", 2205),
        ({"WebhookVerification": {"provider": "github"}}, "https", 2032),
        ({"WebhookVerification": {"provider": "github", "sealed_secret": "eA=="}}, "https", 2201),
        ({"WebsocketTCPConverter": {}}, "tcp", 2205),
        ({"BasicAuth": {"credentials": [{"username": "u", "hashed_password": "eA=="}]}}, "https", 2201),
        ({"Compression": {}}, "tcp", 2205),
        ({"IPRestriction": {"deny_cidrs": ["::1"]}}, "https", 393),
        ({"IPRestriction": {"allow_cidrs": ["x"]}}, "tcp", 362),
        ({"IPRestriction": {"allow_cidrs": ["::/0"], "deny_cidrs": ["${conn.client_ip}"]}}, "https", 362),
        ({"Auth": ":password"}, "https", 359),
        ({"Auth": "u:short"}, "https", 360),
        ({"CircuitBreaker": {"error_threshold": 2}}, "https", 361),
        ({"RequestHeaders": {"add": ["nocolon"]}}, "https", 370),
        ({"RequestHeaders": {"add": ["a:1", "A:2"]}}, "https", 375),
        ({"Policy": {"inbound": [{"actions": [{"type": "deny", "config": "!"}]}]}}, "https", 2203),
        ({"Policy": {"inbound": ["x"]}}, "https", 2236),
    ],
)
def test_what_is_wrong_is_refused(modules: dict[str, Any], protocol: str, code: int) -> None:
    with pytest.raises(Error) as caught:
        document_of(modules, "", protocol)
    assert caught.value.code == f"ERR_NGROK_{code}"


def test_a_bad_pattern_is_refused_with_its_own_code() -> None:
    with pytest.raises(Error) as caught:
        compile_policy(document_of({"UserAgentFilter": {"deny": ["("]}}, "", "https"))
    assert caught.value.code == "ERR_NGROK_2090"


def test_the_verification_of_webhooks_becomes_its_action() -> None:
    text = document_of({"WebhookVerification": {"provider": "github", "secret": "a${b}"}}, "", "https")
    compiled = compile_policy(text)
    assert "verify-webhook" in str(compiled.rules(Phase.HTTP_REQUEST))
    assert document_of({"WebhookVerification": {"provider": "sns"}}, "", "https")
