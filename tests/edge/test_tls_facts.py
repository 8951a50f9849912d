"""What is known of a visitor's TLS, and what the upstream is told of it."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.kit import mutual

from portway.codec.client_hello import ClientHello
from portway.edge.ports import CertificatePem
from portway.edge.tls_facts import TlsFacts, mtls_fields
from portway.edge.tls_settings import PLAIN, TlsSettings
from portway.net.tls import Agreed

HELLO = ClientHello("a.test", (b"h2",), 0x0303, (0x1301,), (0,), 100)
STRICT = TlsSettings(authorities=mutual.authority().pem)


def der(signed: mutual.Signed) -> bytes:
    return signed.certificate.public_bytes(Encoding.DER)


def shown(settings: TlsSettings, certificate: bytes) -> TlsFacts:
    facts = TlsFacts(HELLO, settings, CertificatePem(b"chain", b"key"))
    facts.agreed = Agreed("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "http/1.1", "", certificate)
    return facts


def test_before_the_handshake_the_hello_is_known() -> None:
    facts = TlsFacts(HELLO)
    assert (facts.sni, facts.version, facts.cipher_suite, facts.alpn) == ("a.test", "1.2", "", "")
    assert facts.ja4 == HELLO.ja4 == facts.ja4
    assert (facts.peer_certificate, facts.server_chain, facts.verified) == (b"", b"", False)


def test_without_a_hello_nothing_is() -> None:
    facts = TlsFacts(None)
    assert (facts.sni, facts.version, facts.ja4) == ("", "", "")
    assert repr(facts) == "<TlsFacts - - ->"


def test_after_the_handshake_what_was_agreed_on_is_known() -> None:
    facts = shown(PLAIN, b"")
    assert (facts.version, facts.alpn) == ("1.2", "http/1.1")
    assert facts.cipher_suite == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert facts.server_chain == b"chain"
    assert shown(TlsSettings(chain=b"own", key=b"k"), b"").server_chain == b"own"


def test_the_upstream_is_told_who_has_shown_a_certificate() -> None:
    assert mtls_fields(shown(STRICT, der(mutual.client()))) == [
        b"ngrok-mtls-subject-cn: alice",
        b"ngrok-mtls-subject-alt-name-dns: alice.test,a.test",
        b"ngrok-mtls-email-addresses: alice@a.test",
        b"ngrok-mtls-serial-number: abcdef",
    ]


def test_what_a_certificate_does_not_say_is_left_out() -> None:
    nameless = mutual.sign("", mutual.authority(), serial=7)
    assert mtls_fields(shown(STRICT, der(nameless))) == [b"ngrok-mtls-serial-number: 7"]


@pytest.mark.parametrize("name", ["a\r\nngrok-mtls-subject-cn: root", "100% Müller\0", " \t "])
def test_no_certificate_can_write_a_field_of_its_own(name: str) -> None:
    fields = mtls_fields(shown(STRICT, der(mutual.sign(name, mutual.authority()))))
    told = [field for field in fields if field.startswith(b"ngrok-mtls-subject-cn")]
    assert len(told) == bool(name.strip())
    assert all(32 <= byte < 127 for field in fields for byte in field)


def test_what_was_not_verified_is_not_told() -> None:
    certificate = der(mutual.client())
    for settings in (
        PLAIN,
        TlsSettings(strategy="request"),
        TlsSettings(authorities=mutual.authority().pem, strategy="require-any"),
    ):
        assert mtls_fields(shown(settings, certificate)) == []
    assert mtls_fields(shown(STRICT, b"")) == []
    assert mtls_fields(shown(STRICT, b"\x30\x00")) == []
