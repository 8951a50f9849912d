"""terminate-tls: what it does."""

from textwrap import indent

import pytest
from tests.kit import mutual
from tests.kit.policies import action
from tests.kit.policy import begin, codes, facts, policy

from portway.policy.compiler import Target, World
from portway.policy.facts import Tls
from portway.policy.phase import Phase
from portway.policy.verdict import CONTINUE, Close, Fetch

NOTHING = "\"${conn.tls.sni == 'x' ? 'PEM' : ''}\""
PEM = mutual.authority().pem.decode()


def test_protocols_that_have_tls_may_end_it() -> None:
    text = action("terminate-tls", "{}", "on_tcp_connect")
    assert codes(text, Target("tcp")) == [2205]
    assert codes(text, Target("tls")) == codes(text) == []


def test_authorities_may_be_named() -> None:
    text = action("terminate-tls", "mutual_tls_certificate_authorities: [ca_1]", "on_tcp_connect")
    assert codes(text, world=World(authority={"ca_1": PEM.encode()}.get)) == []


@pytest.mark.parametrize("name", ["mutual_tls_certificate_authorities", "server_certificate"])
def test_what_is_computed_and_empty_closes(name: str) -> None:
    """Else nobody would be asked for a certificate, or another one be shown."""
    config = f"{name}: {NOTHING}"
    if name == "server_certificate":
        config += f"\nserver_private_key: {NOTHING}"
    else:
        config = config.replace(NOTHING, f"[{NOTHING}]")
    run = begin(policy(action("terminate-tls", config, "on_tcp_connect")), Phase.TCP_CONNECT, facts())
    assert isinstance(run.step(), Close)


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
