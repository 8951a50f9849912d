"""basic-auth, restrict-ips and user-agent-filter: what they do."""

from base64 import b64encode
from typing import Any

import pytest
from tests.kit.policies import action
from tests.kit.policy import begin, facts, policy

from portway.policy.engine import Run
from portway.policy.verdict import CONTINUE


def basic(pair: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Basic " + b64encode(pair.encode()))]


def run(text: str, fields: list[tuple[bytes, bytes]], *, client_ip: str = "192.0.2.1") -> tuple[Any, Run]:
    """Run a request; return the verdict, and the run."""
    found = begin(policy(text), known=facts(fields=fields, client_ip=client_ip))
    return found.step(), found


COMPUTED = """
on_http_request:
  - actions:
      - type: set-vars
        config: {vars: [{pair: "eve:password1"}, {user: "bob"}, {word: "battery:staple"}, {odd: "a:b"}]}
      - type: basic-auth
        config:
          realm: r
          credentials:
            ["ada:${'pass' + 'word'}", "${vars.pair}", "${vars.user}:${vars.word}", "${vars.odd}:password"]
"""


@pytest.mark.row("P-38")
@pytest.mark.parametrize(
    ("pair", "allowed"),
    [
        ("ada:password", True),
        ("eve:password1", True),
        ("ada:password1", False),
        ("bob:battery:staple", False),  # what is computed may not bring a second separator
        ("a:b:password", False),
        ("", False),
    ],
)
def test_credentials_may_be_computed(pair: str, allowed: bool) -> None:
    verdict, made = run(COMPUTED, basic(pair) if pair else [])
    assert (verdict == CONTINUE) == allowed
    assert made.facts.results["basic_auth"] == {
        "credentials": {
            "presented": bool(pair),
            "username": pair.partition(":")[0],
            "authorized": allowed,
        }
    }
    if not allowed:
        assert verdict.status == 401
        assert (b"www-authenticate", b'Basic realm="r"') in verdict.headers


def test_two_authorizations_are_none() -> None:
    verdict, _ = run(COMPUTED, basic("ada:password") * 2)
    assert verdict != CONTINUE


@pytest.mark.parametrize("kind", ["basic-auth", "restrict-ips", "rate-limit"])
def test_what_is_not_enforced_only_tells(kind: str) -> None:
    configs = {
        "basic-auth": "credentials: ['u:password']\nenforce: false",
        "restrict-ips": "enforce: false",
        "rate-limit": "name: n\nalgorithm: sliding_window\ncapacity: 1\nrate: 60s\n"
        "bucket_key: ['1']\nenforce: false",
    }
    compiled = policy(action(kind, configs[kind]))
    state: dict[str, object] = {}
    made = begin(compiled, known=facts(), state=state)
    for _ in range(3):
        assert made.step() == CONTINUE
        made = begin(compiled, known=facts(), state=state)
    assert made.step() == CONTINUE
    results: Any = made.facts.results
    told = {
        "basic-auth": lambda: results["basic_auth"]["credentials"]["authorized"] is False,
        "restrict-ips": lambda: results["restrict_ips"]["action"] == "deny",
        "rate-limit": lambda: results["rate_limit"]["limited"] is True,
    }
    assert told[kind]()


@pytest.mark.row("P-39")
@pytest.mark.parametrize(
    ("config", "address", "matched", "allowed"),
    [
        ("allow: [10.0.0.0/8]\ndeny: [10.1.0.0/16]", "10.2.0.1", "10.0.0.0/8", True),
        ("allow: [10.0.0.0/8]\ndeny: [10.1.0.0/16]", "10.1.0.1", "10.1.0.0/16", False),
        ("allow: [10.0.0.0/8]", "192.0.2.1", "", False),
        ("deny: [10.0.0.0/8]", "192.0.2.1", "", False),  # nothing is allowed
        ("allow: ['::/0']", "2001:db8::1", "::/0", True),
        ("allow: ['::/0']", "192.0.2.1", "", False),
        ("allow: ['${conn.client_ip}/24']", "192.0.2.1", "192.0.2.1/24", True),
    ],
)
def test_addresses(config: str, address: str, matched: str, allowed: bool) -> None:
    verdict, made = run(action("restrict-ips", config), [], client_ip=address)
    results: Any = made.facts.results["restrict_ips"]
    assert (results["action"], results["matched_cidr"]) == ("allow" if allowed else "deny", matched)
    assert made.decisions == {"ip_policy.decision": "allow" if allowed else "block"}
    assert (verdict == CONTINUE) == allowed
    if not allowed:
        assert (verdict.status, verdict.code) == (403, 3203)


def test_a_network_that_is_computed_wrongly_refuses() -> None:
    verdict, _ = run(action("restrict-ips", "allow: ['${req.method}']"), [])
    assert (verdict.status, verdict.code) == (500, 2253)


@pytest.mark.row("P-61")
@pytest.mark.parametrize(
    ("config", "agents", "allowed"),
    [
        ("deny: [bad]", [b"good"], True),
        ("deny: [bad]", [b"a bad one"], False),
        ("deny: [bad]", [], False),
        ("allow: [good]\ndeny: [bad]", [b"good and bad"], True),
        ("allow: ['^$']\ndeny: [bad]", [], True),
        ("deny: [bad]", [b"good", b"bad"], True),  # the first counts
    ],
)
def test_programs(config: str, agents: list[bytes], allowed: bool) -> None:
    verdict, _ = run(action("user-agent-filter", config), [(b"User-Agent", each) for each in agents])
    assert (verdict == CONTINUE) == allowed
    assert allowed or (verdict.status, verdict.code) == (403, 3211)
