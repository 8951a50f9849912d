"""What expressions see of a certificate: RFC 5280's fields as texts and lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

_PARTS: Final = {
    "common_name": "2.5.4.3",
    "country": "2.5.4.6",
    "locality": "2.5.4.7",
    "organization": "2.5.4.10",
    "organizational_unit": "2.5.4.11",
    "postal_code": "2.5.4.17",
    "province": "2.5.4.8",
    "street_address": "2.5.4.9",
}
_WRITTEN: Final = {"2.5.4.5": "SERIALNUMBER", "2.5.4.17": "POSTALCODE"}
"""Parts that have a name in texts, beside those of RFC 4514."""
_SIGNATURES: Final = {
    "sha1": "SHA1",
    "sha224": "SHA224",
    "sha256": "SHA256",
    "sha384": "SHA384",
    "sha512": "SHA512",
}


@dataclass(frozen=True, slots=True)
class Names:
    """A distinguished name."""

    text: str = ""
    """Roughly as RFC 2253 writes it."""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict[str, tuple[str, ...]]())

    def part(self, name: str) -> str | list[str]:
        """Return the common name, or the list of another part."""
        found = self.values.get(name, ())
        return (found[0] if found else "") if name == "common_name" else list(found)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as expressions see it; without one everything is empty or None."""

    issuer: Names = Names()
    subject: Names = Names()
    san: str = ""
    alternatives: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict[str, tuple[str, ...]]())
    serial_number: str = ""
    signature_algorithm: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    extensions: list[dict[str, object]] = field(default_factory=lambda: list[dict[str, object]]())
    pem: str = ""


@lru_cache(maxsize=64)
def read_certificate(der: bytes) -> Certificate:
    """Return what a DER certificate says. One that cannot be read is like none: TLS has judged it before."""
    if not der:
        return Certificate()
    # Only policies that look at certificates pay for the import.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_der_x509_certificate(der)
        alternatives = _alternatives(found)
        return Certificate(
            issuer=_names(found.issuer),
            subject=_names(found.subject),
            san=_shown(alternatives),
            alternatives=alternatives,
            serial_number=f"{found.serial_number:x}",
            signature_algorithm=_signature(found),
            not_before=found.not_valid_before_utc,
            not_after=found.not_valid_after_utc,
            extensions=_extensions(found),
            pem=found.public_bytes(Encoding.PEM).decode(),
        )
    except unreadable():
        return Certificate()


def unreadable() -> tuple[type[Exception], ...]:
    """Return what a certificate may raise that OpenSSL took: unverified ones are anybody's."""
    from cryptography import x509

    return (
        ValueError,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def _names(name: Any) -> Names:
    values: dict[str, list[str]] = {}
    by_oid = {oid: part for part, oid in _PARTS.items()}
    for attribute in name:
        part = by_oid.get(attribute.oid.dotted_string)
        if part is not None:
            values.setdefault(part, []).append(str(attribute.value))
    from cryptography.x509 import ObjectIdentifier

    written = name.rfc4514_string({ObjectIdentifier(oid): said for oid, said in _WRITTEN.items()})
    return Names(written, {part: tuple(each) for part, each in values.items()})


def _alternatives(certificate: Any) -> dict[str, tuple[str, ...]]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return {}
    kinds = {
        "dns_names": x509.DNSName,
        "email_addresses": x509.RFC822Name,
        "ip_addresses": x509.IPAddress,
        "uris": x509.UniformResourceIdentifier,
    }
    return {
        part: tuple(str(each) for each in names.get_values_for_type(kind)) for part, kind in kinds.items()
    }


def _shown(alternatives: Mapping[str, tuple[str, ...]]) -> str:
    labels = {"dns_names": "DNS", "email_addresses": "email", "ip_addresses": "IP Address", "uris": "URI"}
    return ", ".join(f"{labels[part]}:{each}" for part, values in alternatives.items() for each in values)


def _signature(certificate: Any) -> str:
    """Return the algorithm as Go names it, such as SHA256-RSA or ECDSA-SHA256."""
    name = str(getattr(certificate.signature_algorithm_oid, "_name", "")).lower()
    digest = next((shown for word, shown in _SIGNATURES.items() if word in name), "")
    if name == "rsassapss" and certificate.signature_hash_algorithm is not None:
        return f"{_SIGNATURES.get(certificate.signature_hash_algorithm.name, '')}-RSAPSS"
    if "ed25519" in name:
        return "Ed25519"
    if "ecdsa" in name:
        return f"ECDSA-{digest}"
    return f"{digest}-RSA" if digest else str(certificate.signature_algorithm_oid.dotted_string)


def _extensions(certificate: Any) -> list[dict[str, object]]:
    return [
        {
            "id": each.oid.dotted_string,
            "critical": bool(each.critical),
            "value": bytes(each.value.public_bytes()),
        }
        for each in certificate.extensions
    ]
