"""terminate-tls: what it does."""

from textwrap import indent

from tests.kit import mutual
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.compiler import Target, World
from portway.policy.facts import Tls
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Fetch

PEM = mutual.authority().pem.decode()


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
