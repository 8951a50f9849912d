"""Mutual TLS: an authority, clients it has signed, and clients it has not, as contexts and as PEM."""

import datetime as dt
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate, its key, and who has signed it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The same, as it is on the wire."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def show(self, context: ssl.SSLContext, *above: "Signed") -> ssl.SSLContext:
        """Have a client's context show this certificate, and those above it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "client.pem"
            file.write_bytes(self.pem + b"".join(each.pem for each in above) + self.key_pem)
            context.load_cert_chain(file)
        return context


def sign(
    name: str,
    by: Signed | None = None,
    *,
    ca: bool = False,
    dns: tuple[str, ...] = (),
    mail: tuple[str, ...] = (),
    expired: bool = False,
    serial: int = 0xABCDEF,
    subject: x509.Name | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Signed:
    """Make a certificate of a name or a whole subject; nobody signs it but itself when ``by`` is None."""
    key = ec.generate_private_key(ec.SECP256R1())
    if subject is None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if name else x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(NOW - DAY if expired else NOW + DAY)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    others: list[x509.GeneralName] = [*map(x509.DNSName, dns), *map(x509.RFC822Name, mail)]
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return Signed(builder.sign(by.key if by else key, hashes.SHA256()), key)


@cache
def authority(name: str = "Clients") -> Signed:
    """Return an authority for clients; the same for the same name."""
    return sign(name, ca=True)


@cache
def client(name: str = "alice") -> Signed:
    """Return a client that the authority has signed."""
    return sign(name, authority(), dns=("alice.test", "a.test"), mail=("alice@a.test",))
