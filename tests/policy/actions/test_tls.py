"""terminate-tls: what is accepted, what is refused with which code, and what they do."""

from textwrap import indent

import pytest
from tests.kit import mutual
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.compiler import Target, World
from portway.policy.facts import Tls
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Fetch

PEM = mutual.authority().pem.decode()

GOOD = [
    ("terminate-tls", "{}", "on_tcp_connect"),
]

BAD = [
    ("terminate-tls", "min_version: 1.1", "on_tcp_connect", 2222),
    ("terminate-tls", "min_version: 1.3\nmax_version: 1.2", "on_tcp_connect", 2204),
    ("terminate-tls", "server_certificate: |\n" + indent(PEM, "  "), "on_tcp_connect", 2240),
    ("terminate-tls", "server_certificate: x\nserver_private_key: y", "on_tcp_connect", 2204),
    ("terminate-tls", "mutual_tls_certificate_authorities: [ca_none]", "on_tcp_connect", 1672),
    ("terminate-tls", "mutual_tls_certificate_authorities: [x]", "on_tcp_connect", 1695),
    ("terminate-tls", "mutual_tls_verification_strategy: maybe", "on_tcp_connect", 2222),
]


@pytest.mark.parametrize(("kind", "config", "phase"), GOOD, ids=lambda value: str(value)[:40])
def test_what_is_documented_is_accepted(kind: str, config: str, phase: str) -> None:
    assert codes(action(kind, config, phase or "on_http_request")) == []


@pytest.mark.parametrize(("kind", "config", "phase", "code"), BAD, ids=lambda value: str(value)[:40])
def test_every_mistake_has_its_code(kind: str, config: str, phase: str, code: int) -> None:
    assert codes(action(kind, config, phase))[:1] == [code]


def test_protocols_that_have_tls_may_end_it() -> None:
    text = action("terminate-tls", "{}", "on_tcp_connect")
    assert codes(text, Target("tcp")) == [2205]
    assert codes(text, Target("tls")) == codes(text) == []


def test_authorities_may_be_named() -> None:
    text = action("terminate-tls", "mutual_tls_certificate_authorities: [ca_1]", "on_tcp_connect")
    assert codes(text, world=World(authority={"ca_1": PEM.encode()}.get)) == []


def test_the_edge_is_asked_for_the_handshake() -> None:
    key = mutual.authority().key_pem.decode()
    pair = f"server_certificate: |\n{indent(PEM, '  ')}server_private_key: |\n{indent(key, '  ')}"
    known = facts()
    run = begin(policy(action("terminate-tls", pair, "on_tcp_connect")), Phase.TCP_CONNECT, known)
    asked = run.step()
    assert isinstance(asked, Fetch)
    assert (asked.arguments["certificate"], asked.arguments["key"]) == (PEM.encode(), key.encode())
    assert (asked.arguments["min_version"], asked.arguments["authorities"]) == ("1.2", b"")
    known.connection.tls = Tls("a.example", "ja4", "1.3", "TLS_AES_128_GCM_SHA256")
    assert run.resume(None) == CONTINUE
    assert run.facts.results["terminate_tls"] == {
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "sni": "a.example",
        "version": "1.3",
        "warnings": [],
        "error": {"code": "", "message": ""},
    }
