"""What people upload: a certificate chain with its key, or the certificate of an authority.

Everything is read and judged when it is uploaded, each slip with a code of its own, so that the data
plane never meets a chain that it cannot serve: the key belongs to the first certificate, each
certificate is issued by the one behind it (RFC 8446 §4.4.2), and nothing is so weak that TLS libraries
refuse it by default. Names and dates are not judged: who serves an expired certificate may be
about to replace it. A key is never part of an error's text.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portway.control.certificates import pem
from portway.errors import Error
from portway.model.certificate import CertificateFacts

CHAIN_LIMIT: Final = 65_536
"""Characters of a chain that is uploaded; more is ERR_NGROK_1921."""
KEY_LIMIT: Final = 16_384
"""Characters of a private key; more is ERR_NGROK_1921."""
AUTHORITY_LIMIT: Final = 16_384
"""Characters of an authority's certificate; more is ERR_NGROK_1921."""
RSA_BITS: Final = range(2048, 4097)
"""Sizes of RSA keys: shorter ones are refused by TLS libraries, longer ones cost too much a handshake."""

_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_WEAK_HASHES: Final = (hashes.MD5, hashes.SHA1)
_SERIAL_BITS: Final = 160
"""RFC 5280 §4.1.2.2: at most 20 octets."""

_CERTIFICATE: Final = "CERTIFICATE"
_KEYS: Final = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})
_ENCRYPTED: Final = "ENCRYPTED PRIVATE KEY"

_KEY_USAGES: Final = (
    ("digital_signature", "DigitalSignature"),
    ("content_commitment", "ContentCommitment"),
    ("key_encipherment", "KeyEncipherment"),
    ("data_encipherment", "DataEncipherment"),
    ("key_agreement", "KeyAgreement"),
    ("key_cert_sign", "CertSign"),
    ("crl_sign", "CRLSign"),
)
_EXTENDED: Final[dict[x509.ObjectIdentifier, str]] = {
    ExtendedKeyUsageOID.SERVER_AUTH: "ServerAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "ClientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "CodeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "EmailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "TimeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "Any",
}

Extension = TypeVar("Extension", bound=x509.ExtensionType)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyPair(msgspec.Struct, frozen=True):
    """A chain, leaf first, with its key, both PEM, and what stands in the leaf."""

    chain: str
    key: str
    facts: CertificateFacts

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"KeyPair({self.facts.subject_common_name!r}, {len(self.chain)} characters, key hidden)"


def read_pair(certificate_pem: str, private_key_pem: str) -> KeyPair:
    """Read what is uploaded as a TLS certificate.

    Raises Error 1900, 1910, 1911, 1919–1922, 1925 or 1926 for the chain, 1901–1903 or 1924 for the
    key, 1923 when they do not belong together.
    """
    chain = _certificates(certificate_pem, CHAIN_LIMIT, "certificate_pem")
    key = _private_key(private_key_pem)
    _check_together(chain, key)
    _check_strength(chain)
    for each, issuer in pairwise(chain):
        if not _issued_by(each, issuer):
            raise Error(
                "The bundle is out of order: the certificate of the server comes first, and each is followed"
                " by the one that issued it.",
                1926,
            )
    text = "".join(_pem(each) for each in chain)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(text, secret.decode(), facts_of(chain[0]))


def read_authority(ca_pem: str) -> tuple[str, CertificateFacts]:
    """Read what is uploaded as a certificate authority: its PEM, and what stands in it.

    Raises Error 1900, 1910–1913, 1919–1922 or 1925.
    """
    found = _certificates(ca_pem, AUTHORITY_LIMIT, "ca_pem")
    if len(found) > 1:
        raise Error("Upload one authority at a time: there are several certificates in ca_pem.", 1912)
    certificate = found[0]
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise Error("The certificate is not one of an authority: its basic constraints do not say CA.", 1913)
    return _pem(certificate), facts_of(certificate)


def facts_in(text: str) -> CertificateFacts:
    """Return what stands in the first certificate of a text that was accepted before."""
    return facts_of(x509.load_der_x509_certificate(pem.blocks(text)[0].der()))


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Return what stands in a certificate."""
    subject = certificate.subject
    names = _extension(certificate, x509.SubjectAlternativeName)
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    return CertificateFacts(
        subject_common_name=_attribute(subject, NameOID.COMMON_NAME),
        subject_organization=_attribute(subject, NameOID.ORGANIZATION_NAME),
        subject_organizational_unit=_attribute(subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
        subject_locality=_attribute(subject, NameOID.LOCALITY_NAME),
        subject_province=_attribute(subject, NameOID.STATE_OR_PROVINCE_NAME),
        subject_country=_attribute(subject, NameOID.COUNTRY_NAME),
        issuer_common_name=_attribute(certificate.issuer, NameOID.COMMON_NAME),
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        dns_names=tuple(map(_shown, names.get_values_for_type(x509.DNSName))) if names else (),
        ips=tuple(map(str, names.get_values_for_type(x509.IPAddress))) if names else (),
        key_usages=_usages(_extension(certificate, x509.KeyUsage)),
        extended_key_usages=tuple(_EXTENDED.get(each) or each.dotted_string for each in extended or ()),
        key_type=_key_type(certificate.public_key()),
    )


def _certificates(text: str, limit: int, field: str) -> list[x509.Certificate]:
    """Read the certificates of a field, at least one."""
    found = _blocks(text, limit, field)
    for block in found:
        if block.label.endswith("PRIVATE KEY"):
            raise Error(f"{field} holds a private key; certificates belong there.", 1925)
        if block.label != _CERTIFICATE:
            raise Error(f"{field} holds a PEM block {block.label!r}; only CERTIFICATE is allowed.", 1911)
        if block.headers:
            raise Error(f"A PEM block of {field} has headers; they are not allowed.", 1910)
    try:
        read = [x509.load_der_x509_certificate(block.der()) for block in found]
        for each in read:
            facts_of(each)  # extensions are parsed only when they are looked at
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Error(f"A certificate in {field} cannot be read; it may be damaged.", 1900) from error
    if any(each.serial_number.bit_length() > _SERIAL_BITS for each in read):
        raise Error(f"A certificate in {field} has a serial number of more than 20 octets.", 1900)
    return read


def _private_key(text: str) -> PrivateKey:
    if not text.strip():
        raise Error("private_key_pem is missing.", 1901)
    found = _blocks(text, KEY_LIMIT, "private_key_pem", none=1901)
    if any(block.label == _CERTIFICATE for block in found):
        raise Error("private_key_pem holds a certificate; the private key belongs there.", 1924)
    # `openssl ecparam -genkey` writes the curve in a block of its own before the key.
    keys = [block for block in found if block.label != "EC PARAMETERS"]
    if any(block.label == _ENCRYPTED or "ENCRYPTED" in block.content for block in keys):
        raise Error("The private key is encrypted; upload it without a passphrase.", 1902)
    if len(keys) != 1 or keys[0].label not in _KEYS:
        raise Error("private_key_pem must hold exactly one PEM private key.", 1901)
    return _load_key(keys[0])


def _load_key(block: pem.Block) -> PrivateKey:
    try:
        # First without the checks of RSA numbers, which take minutes when these are huge.
        key = serialization.load_pem_private_key(
            block.text.encode(), None, unsafe_skip_rsa_key_validation=True
        )
        if isinstance(key, rsa.RSAPrivateKey):
            if key.key_size not in RSA_BITS:
                raise Error(f"An RSA key has {RSA_BITS[0]} to {RSA_BITS[-1]} bits.", 1903)
            key = serialization.load_pem_private_key(block.text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The cause may quote the key.
        raise Error("The private key is in no known format: PKCS#1, SEC 1 and PKCS#8 are.", 1903) from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in _CURVES:
            raise Error(f"The curve {key.curve.name} is not used in TLS; P-256, P-384 and P-521 are.", 1903)
        return key
    if isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise Error("The private key is neither RSA nor ECDSA nor Ed25519.", 1903)


def _blocks(text: str, limit: int, field: str, *, none: int = 1920) -> list[pem.Block]:
    if not text.strip():
        raise Error(f"{field} is missing.", 1919)
    if len(text) > limit:
        raise Error(f"{field} is longer than {limit} characters.", 1921)
    try:
        found = pem.blocks(text)
    except ValueError as error:
        raise Error(f"{field} holds no whole PEM block: {error}.", 1922 if none == 1920 else none) from error
    if not found:
        raise Error(f"{field} is not PEM: there is no line -----BEGIN …-----.", none)
    return found


def _check_together(chain: Sequence[x509.Certificate], key: PrivateKey) -> None:
    public = key.public_key()
    if chain[0].public_key() == public:
        return
    if any(each.public_key() == public for each in chain[1:]):
        raise Error("The bundle is out of order: the certificate of this key must be the first.", 1926)
    raise Error("The private key does not belong to the certificate.", 1923)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_strength(chain: Sequence[x509.Certificate]) -> None:
    """Refuse signatures that clients do not accept. Nobody checks that of a root on itself."""
    for each in chain:
        algorithm = each.signature_hash_algorithm
        if isinstance(algorithm, _WEAK_HASHES) and each.issuer != each.subject:
            raise Error(f"A certificate is signed with {algorithm.name}, which no client accepts.", 1900)


def _usages(usage: x509.KeyUsage | None) -> tuple[str, ...]:
    if usage is None:
        return ()
    return tuple(name for attribute, name in _KEY_USAGES if getattr(usage, attribute))


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return _shown(str(found[0].value)) if found else ""


def _shown(text: str) -> str:
    """Replace what neither a terminal nor PostgreSQL takes."""
    return "".join(each if each.isprintable() else "�" for each in text)


def _key_type(public: object) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return "rsa"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return "ecdsa"
    return "ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else ""


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
