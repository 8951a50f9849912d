"""Certificates of every kind that people may upload, good and bad ones."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
END = dt.datetime(2036, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Made:
    """One certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key, PKCS#8."""
        return self.key_as(serialization.PrivateFormat.PKCS8)

    def key_as(self, form: serialization.PrivateFormat, password: str = "") -> str:
        """The key in some form, encrypted if there is a password."""
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        return self.key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


@cache
def key(kind: str = "ecdsa", number: int = 0) -> Key:
    """Return a key: "ecdsa", "rsa" (2048), "rsa1024", "ed25519", "ed448" or the name of a curve.

    The same arguments give the same key: RSA keys are slow to make.
    """
    _ = number
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65_537, int(kind[3:] or 2048))
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256K1() if kind == "secp256k1" else ec.SECP256R1())


def make(
    name: str = "example.com",
    kind: str = "ecdsa",
    *,
    issuer: Made | None = None,
    ca: bool | None = False,
    names: Sequence[str] = (),
    number: int = 0,
    subject: x509.Name | None = None,
) -> Made:
    """Make a certificate; without an issuer it signs itself. ``ca`` None leaves that extension out."""
    own = key(kind, number)
    signer = issuer.key if issuer else own
    full = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Widgets"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Making"),
        x509.NameAttribute(NameOID.LOCALITY_NAME, "Bern"),
        x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "BE"),
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
    ]) if subject is None else subject  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(full)
        .issuer_name(issuer.certificate.subject if issuer else full)
        .public_key(own.public_key())
        .serial_number(0xABCDEF)
        .not_valid_before(START)
        .not_valid_after(END)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_name, names))), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]),
            critical=False,
        )
        builder = builder.add_extension(_usage(), critical=True)
    edwards = isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return Made(builder.sign(signer, None if edwards else hashes.SHA256()), own)  # pyright: ignore[reportArgumentType]


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
