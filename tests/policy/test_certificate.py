"""What expressions see of certificates."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tests.kit.policy import facts, value
from tests.kit.x509 import END, START, make

from portway.policy.certificate import Certificate, read_certificate
from portway.policy.expression import EvaluationError
from portway.policy.facts import Tls

NAMES = ("a.example", "*.b.example", "192.0.2.1")


def der(kind: str = "ecdsa") -> bytes:
    """Make a certificate."""
    return make("a.example", kind, names=NAMES).certificate.public_bytes(Encoding.DER)


@pytest.mark.row("P-25", "P-26")
def test_its_fields() -> None:
    found = read_certificate(der())
    assert found.subject.part("common_name") == "a.example"
    assert found.subject.part("organization") == ["Widgets"]
    assert found.issuer.part("country") == ["CH"]
    assert found.issuer.part("postal_code") == []
    assert "CN=a.example" in found.subject.text
    assert found.san == "DNS:a.example, DNS:*.b.example, IP Address:192.0.2.1"
    assert (found.not_before, found.not_after) == (START, END)
    assert found.serial_number == "abcdef"
    assert found.pem.startswith("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("kind", "name"), [("ecdsa", "ECDSA-SHA256"), ("rsa", "SHA256-RSA"), ("ed25519", "Ed25519")]
)
def test_the_algorithm_of_its_signature(kind: str, name: str) -> None:
    assert read_certificate(der(kind)).signature_algorithm == name


def test_the_algorithm_of_a_signature_with_salt() -> None:
    """RSASSA-PSS names its digest in its parameters (RFC 4055 §3.1)."""
    key = rsa.generate_private_key(65_537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, START, END)
    salted = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    found = builder.sign(key, hashes.SHA384(), rsa_padding=salted).public_bytes(Encoding.DER)
    assert read_certificate(found).signature_algorithm == "SHA384-RSAPSS"


def test_none_and_nonsense_are_empty() -> None:
    assert read_certificate(b"") == Certificate() == read_certificate(b"nonsense")


def test_in_expressions() -> None:
    known = facts()
    known.connection.tls = Tls(version="1.3", client_certificate=der(), server_certificate=der())
    for source in (
        "conn.tls.client.san.dns_names == ['a.example', '*.b.example']",
        "conn.tls.client.subject.contains('a.example') && conn.tls.client.subject.common_name == 'a.example'",
        "conn.tls.server.validity.not_after > timestamp('2030-01-01T00:00:00Z')",
        "conn.tls.server.extensions.exists(e, e.id == '2.5.29.17' && !e.critical && e.value.size() > 10)",
        "conn.tls.client.pem.startsWith('-----BEGIN') && conn.tls.version == '1.3'",
    ):
        assert value(source, known) is True, source
    assert value("conn.tls.client.san.dns_names == [] && !has(conn.tls.client.validity.not_after)") is True


@pytest.mark.row("P-56")
def test_terminate_tls_tells_both_certificates_once_it_has_run() -> None:
    known = facts()
    known.connection.tls = Tls(version="1.3", client_certificate=der(), server_certificate=der())
    result = "actions.ngrok.terminate_tls"
    shown = f"{result}.client.subject.common_name + {result}.server.san"
    assert value(f"has({result}.client.subject)", known) is False
    known.results["terminate_tls"] = {"version": "1.3"}
    assert value(shown, known) == "a.exampleDNS:a.example, DNS:*.b.example, IP Address:192.0.2.1"
    assert value(f"{result}.version + {result}.client.issuer", known) == value(
        "conn.tls.version + conn.tls.client.issuer", known
    )
    with pytest.raises(EvaluationError):
        value(f"{result}.client.pem", known)
