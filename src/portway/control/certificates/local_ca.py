"""The local certificate authority of one service.

ECDSA P-256 throughout. The authority lives ten years; a leaf at most :data:`LEAF_DAYS`, which is what
Apple's platforms take from an authority that a user installed; ``server/bootstrap.py`` renews the
service's own in time. Keys are files of mode 0600, written whole or not at all. RFC 5280 says what the
extensions mean; RFC 6125 that names stand in the SAN.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from portway.control import files
from portway.errors import ConfigError

CA_FILE: Final = "ca.pem"
CA_KEY_FILE: Final = "ca-key.pem"
CA_DAYS: Final = 3650
LEAF_DAYS: Final = 825
BACKDATE: Final = dt.timedelta(hours=1)
"""Clocks of agents may be slow: a fresh certificate is valid since an hour."""

_COMMON_NAME_LIMIT: Final = 64


class IssuedPem(msgspec.Struct, frozen=True):
    """A certificate and its key as PEM. ``not_after`` is Unix seconds."""

    chain: bytes
    key: bytes
    not_after: float

    def __repr__(self) -> str:
        """Leave the key out."""
        return f"IssuedPem({len(self.chain)} bytes, key hidden, not_after={self.not_after})"


class LocalAuthority:
    """An authority with its key. It issues without any I/O."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Join certificate and key."""
        self._certificate = certificate
        self._key = key

    @property
    def pem(self) -> bytes:
        """The authority's certificate: what agents and browsers must trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Sequence[str], now: float) -> IssuedPem:
        """Issue a certificate for DNS names, wildcards and IP addresses. ``now`` is Unix seconds."""
        key = ec.generate_private_key(ec.SECP256R1())
        start = _moment(now)
        end = min(start - BACKDATE + dt.timedelta(days=LEAF_DAYS), self._certificate.not_valid_after_utc)
        short = [name for name in names if len(name) <= _COMMON_NAME_LIMIT]
        builder = (
            _builder(_name(short[0] if short else "portway"), self._certificate.subject, key, start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(each) for each in names]), critical=False
            )
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return IssuedPem(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key), end.timestamp())


def load_or_make(folder: Path, now: float) -> LocalAuthority:
    """Return the authority of a data folder, made at the first call.

    A key without its certificate is what a crash in the first call leaves: it has issued nothing and
    is made anew. Raises ConfigError when the files are unreadable or do not belong together.
    """
    certificate_file, key_file = folder / CA_FILE, folder / CA_KEY_FILE
    if certificate_file.exists():
        return _load(certificate_file, key_file)
    authority, key = _make(now)
    files.replace(key_file, _key_pem(key))
    files.replace(certificate_file, authority.pem, files.PUBLIC)
    return authority


def _make(now: float) -> tuple[LocalAuthority, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"portway local authority {int(now)}")
    start = _moment(now)
    builder = (
        _builder(name, name, key, start, start + dt.timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )
    return LocalAuthority(builder.sign(key, hashes.SHA256()), key), key


def _load(certificate_file: Path, key_file: Path) -> LocalAuthority:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{certificate_file}, {key_file}: not a PEM certificate and key: {error}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{key_file}: not the key of {certificate_file}")
    return LocalAuthority(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    start: dt.datetime,
    end: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
