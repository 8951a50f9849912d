"""Uploaded certificates: what stands in them, and every slip with its code."""

import base64
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from tests.kit.x509 import END, START, Made, make

from portway.control.certificates.inspect import (
    AUTHORITY_LIMIT,
    CHAIN_LIMIT,
    KEY_LIMIT,
    facts_in,
    read_authority,
    read_pair,
)
from portway.errors import Error

PKCS1_OR_SEC1 = serialization.PrivateFormat.TraditionalOpenSSL


@pytest.fixture(scope="module")
def root() -> Made:
    return make("root", ca=True, number=1)


@pytest.fixture(scope="module")
def middle(root: Made) -> Made:
    return make("middle", ca=True, number=2, issuer=root)


@pytest.fixture(scope="module")
def leaf(middle: Made) -> Made:
    return make(issuer=middle, names=["example.com", "*.example.com", "10.0.0.1", "::1"])


def code_of(certificate: str, key: str) -> int:
    with pytest.raises(Error) as caught:
        read_pair(certificate, key)
    lines = [line for line in key.splitlines() if len(line) > 30]
    assert not any(line in str(caught.value) for line in lines), "an error never quotes a key"
    return int(caught.value.code.removeprefix("ERR_NGROK_"))


def test_everything_that_stands_in_a_certificate(leaf: Made, middle: Made, root: Made) -> None:
    pair = read_pair(leaf.pem + middle.pem + root.pem, leaf.key_pem)
    assert pair.chain == leaf.pem + middle.pem + root.pem
    assert pair.key == leaf.key_pem
    facts = pair.facts
    assert facts.subject_common_name == "example.com"
    assert facts.subject_organization == "Widgets"
    assert facts.subject_organizational_unit == "Making"
    assert facts.subject_locality == "Bern"
    assert facts.subject_province == "BE"
    assert facts.subject_country == "CH"
    assert facts.issuer_common_name == "middle"
    assert facts.serial_number == "abcdef"
    assert (facts.not_before, facts.not_after) == (START.timestamp(), END.timestamp())
    assert facts.dns_names == ("example.com", "*.example.com")
    assert facts.ips == ("10.0.0.1", "::1")
    assert facts.key_usages == ("DigitalSignature", "KeyEncipherment")
    assert facts.extended_key_usages == ("ServerAuth", "1.2.3.4")
    assert facts.key_type == "ecdsa"
    assert facts_in(pair.chain) == facts


def test_nothing_of_the_key_is_shown(leaf: Made) -> None:
    shown = repr(read_pair(leaf.pem, leaf.key_pem))
    assert "key hidden" in shown
    assert "PRIVATE" not in shown


@pytest.mark.parametrize(("kind", "form"), [
    ("rsa", PKCS1_OR_SEC1), ("rsa", serialization.PrivateFormat.PKCS8),
    ("ecdsa", PKCS1_OR_SEC1), ("ecdsa", serialization.PrivateFormat.PKCS8),
    ("ed25519", serialization.PrivateFormat.PKCS8),
])  # fmt: skip
def test_every_form_of_key_is_taken_and_can_be_served(
    kind: str, form: serialization.PrivateFormat, tmp_path: Path
) -> None:
    made = make(kind=kind, names=["example.com"])
    pair = read_pair(made.pem, made.key_as(form))
    assert pair.facts.key_type == kind
    (tmp_path / "chain").write_text(pair.chain)
    (tmp_path / "key").write_text(pair.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "chain", tmp_path / "key")
    client = ssl.create_default_context(cadata=pair.chain)
    _shake(server, client)


def _shake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Let two contexts agree, in memory."""
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(a, b, server_hostname="example.com"), server.wrap_bio(b, a, server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert all(end.version() == "TLSv1.3" for end in ends)


def test_comments_and_the_curves_own_block_are_passed_over(leaf: Made) -> None:
    key = leaf.key_as(PKCS1_OR_SEC1)
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    pair = read_pair(f"subject=CN = x\r\n{leaf.pem}\n # end", f"{parameters}{key}")
    assert pair.chain == leaf.pem


def test_a_certificate_without_names_or_extensions() -> None:
    bare = make(ca=None, subject=x509.Name([]))
    facts = read_pair(bare.pem, bare.key_pem).facts
    assert facts.subject_common_name == facts.issuer_common_name == ""
    assert facts.dns_names == facts.key_usages == facts.extended_key_usages == ()


def test_what_no_table_can_hold_is_replaced() -> None:
    odd = make(subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\0b\x1b[31m")]))
    assert read_pair(odd.pem, odd.key_pem).facts.subject_common_name == "a�b�[31m"


@pytest.mark.row("C18")
def test_slips_in_the_chain(leaf: Made, middle: Made, root: Made) -> None:
    key = leaf.key_pem
    body = "".join(leaf.pem.splitlines()[1:-1])
    damaged = base64.b64encode(base64.b64decode(body)[:-20]).decode()
    begin, end = leaf.pem.splitlines()[0], leaf.pem.splitlines()[-1]
    for code, text in {
        1919: ["", " \n"],
        1920: ["hello", body],
        1921: ["x" * (CHAIN_LIMIT + 1)],
        1922: [leaf.pem[:-10], "-----BEGIN CERTIFICATE-----\n"],
        1925: [key, leaf.pem + key],
        1911: [leaf.pem.replace("CERT", each) for each in ("TRUSTED CERT", "X509 CERT")],
        1910: [leaf.pem.replace("-----\n", "-----\nComment: x\n\n", 1)],
        1900: [leaf.pem.replace(body[:10], "!" * 10), f"{begin}\n{damaged}\n{end}", f"{begin}\n{end}"],
        1926: ["".join(each.pem for each in bundle) for bundle in (
            (middle, leaf), (leaf, root, middle), (leaf, root), (root, leaf))],
    }.items():  # fmt: skip
        for each in text:
            assert code_of(each, key) == code, each


@pytest.mark.row("C18")
def test_slips_in_the_key(leaf: Made) -> None:
    body = "".join(leaf.key_pem.splitlines()[1:-1])
    for code, texts in {
        1901: ["", "hello", leaf.key_pem[:-10], leaf.key_pem * 2, leaf.key_pem.replace("PRIVATE", "PUBLIC")],
        1921: ["x" * (KEY_LIMIT + 1)],
        1924: [leaf.pem],
        1902: [leaf.key_as(serialization.PrivateFormat.PKCS8, "word"), leaf.key_as(PKCS1_OR_SEC1, "word")],
        1903: [leaf.key_pem.replace(body[:6], "AAAAAA"), make(kind="ed448").key_pem,
               make(kind="secp256k1").key_pem, make(kind="rsa1024").key_pem],
        1923: [make(number=9).key_pem, make(kind="rsa").key_pem, make(kind="ed25519").key_pem],
    }.items():  # fmt: skip
        for each in texts:
            assert code_of(leaf.pem, each) == code, each


@pytest.mark.row("C18")
def test_swapped_fields_say_so(leaf: Made) -> None:
    assert code_of(leaf.key_pem, leaf.pem) == 1925


def test_an_rsa_key_with_wrong_numbers_is_refused() -> None:
    made = make(kind="rsa")
    der = bytearray(
        made.key.private_bytes(serialization.Encoding.DER, PKCS1_OR_SEC1, serialization.NoEncryption())
    )
    der[400] ^= 0x10  # in the private exponent
    text = base64.encodebytes(bytes(der)).decode()
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----\n"
    assert code_of(made.pem, key) == 1903


def test_weak_signatures_are_refused_but_a_roots_own(root: Made) -> None:
    issuer = make("old", kind="rsa", ca=True, number=1)
    weak = make(issuer=issuer, number=3)
    assert code_of(signed_with_sha1(weak), weak.key_pem) == 1900
    chain = weak.pem + signed_with_sha1(issuer)
    assert read_pair(chain, weak.key_pem).facts.issuer_common_name == "old"


def signed_with_sha1(made: Made) -> str:
    """Return a certificate that says it is signed with SHA-1: libraries do not make them any more."""
    der = made.certificate.public_bytes(serialization.Encoding.DER)
    sha256, sha1 = (bytes.fromhex("2a864886f70d0101") + bytes([last]) for last in (11, 5))
    assert der.count(sha256) == 2
    return (
        "-----BEGIN CERTIFICATE-----\n"
        + base64.encodebytes(der.replace(sha256, sha1)).decode()
        + "-----END CERTIFICATE-----\n"
    )


def test_an_authority(root: Made) -> None:
    text, facts = read_authority(f"# mine\n{root.pem}")
    assert text == root.pem
    assert facts.subject_common_name == "root"
    assert (facts.not_before, facts.not_after) == (START.timestamp(), END.timestamp())


@pytest.mark.row("C18")
def test_slips_in_an_authority(root: Made, middle: Made, leaf: Made) -> None:
    for code, texts in {
        1912: [root.pem + middle.pem],
        1913: [leaf.pem, make(ca=None, number=4).pem],
        1919: [""],
        1920: ["hello"],
        1921: [root.pem + "#" * AUTHORITY_LIMIT],
        1922: [root.pem[:-5]],
        1925: [root.key_pem],
        1911: [root.pem.replace("CERTIFICATE", "PUBLIC KEY")],
        1910: [root.pem.replace("-----\n", "-----\nComment: x\n\n", 1)],
        1900: ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"],
    }.items():
        for each in texts:
            with pytest.raises(Error) as caught:
                read_authority(each)
            assert caught.value.code == f"ERR_NGROK_{code}", each
