"""Certificates that accounts upload, as the control plane keeps them."""

import msgspec


class CertificateFacts(msgspec.Struct, frozen=True):
    """What stands in one certificate. Times are Unix seconds; what is not there is "" or empty."""

    subject_common_name: str
    subject_organization: str
    subject_organizational_unit: str
    subject_locality: str
    subject_province: str
    subject_country: str
    issuer_common_name: str
    serial_number: str
    """Hexadecimal."""
    not_before: float
    not_after: float
    dns_names: tuple[str, ...]
    ips: tuple[str, ...]
    key_usages: tuple[str, ...]
    extended_key_usages: tuple[str, ...]
    key_type: str
    """"rsa", "ecdsa", "ed25519", or "" for any other."""


class TlsCertificate(msgspec.Struct, frozen=True):
    """A certificate without its key. Times are Unix seconds; ``issued_at`` is None if it was uploaded."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    chain: str
    facts: CertificateFacts
    issued_at: float | None = None


class CertificateAuthority(msgspec.Struct, frozen=True):
    """An authority's certificate. ``created_at`` is Unix seconds."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    pem: str
    facts: CertificateFacts
