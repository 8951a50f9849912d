"""The tables, as the newest migration leaves them.

Times are Unix seconds. Secrets are never here: a key keeps the SHA-256 of its whole token, which is
safe without salt or stretching because a token holds 125 random bits; private keys of certificates
are sealed with a key that lies beside the store, not in it.

Identifiers sort by the time they were made, which paging relies on; so PostgreSQL must compare them
byte by byte, whatever the language of its database.
"""

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID: Final = String(40).with_variant(String(40, collation="C"), "postgresql")
"""The type of an identifier."""


def noun(name: str, *columns: Column[Any] | UniqueConstraint) -> Table:
    """Make the table of something that an account owns: what all of them have, then its own columns."""
    return Table(
        name,
        metadata,
        Column("id", ID, primary_key=True),
        Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
        Column("description", String(255), nullable=False),
        Column("metadata", Text, nullable=False, server_default=""),
        Column("created_at", Float, nullable=False),
        *columns,
        Index(None, "account_id", "id"),
    )


accounts = Table(
    "accounts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("plan", String(40), nullable=False),
    Column("created_at", Float, nullable=False),
)

credentials = noun(
    "credentials",
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("revoked_at", Float),
    # A JSON list of rules such as "bind:*.example.com"; [] allows everything.
    Column("acl", Text, nullable=False, server_default="[]"),
    Column("owner_id", ID, nullable=False, server_default=""),
)

api_keys = noun(
    "api_keys",
    Column("token_hash", LargeBinary(32), nullable=False),
    Column("revoked_at", Float),
    Column("owner_id", ID, nullable=False, server_default=""),
)

ssh_credentials = noun(
    "ssh_credentials",
    # One line of an authorized_keys file; the fingerprint is OpenSSH's, "SHA256:…".
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("acl", Text, nullable=False, server_default="[]"),
    Column("owner_id", ID, nullable=False, server_default=""),
)

reserved_addrs = noun(
    "reserved_addrs",
    Column("region", String(40), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    UniqueConstraint("host", "port"),
)

former_addrs = Table(
    "former_addrs",
    metadata,
    # Addresses that were given back: they are handed out again last of all.
    Column("host", String(255), primary_key=True),
    Column("port", Integer, primary_key=True, autoincrement=False),
    Column("deleted_at", Float, nullable=False),
)

tls_certificates = noun(
    "tls_certificates",
    # The chain, leaf first, PEM; the key is sealed.
    Column("certificate_pem", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("subject_common_name", Text, nullable=False),
    Column("serial_number", String(64), nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
    # NULL for an uploaded one, else when it was issued for us.
    Column("issued_at", Float),
)

certificate_authorities = noun(
    "certificate_authorities",
    Column("ca_pem", Text, nullable=False),
    Column("subject_common_name", Text, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("not_after", Float, nullable=False),
)

reserved_domains = noun(
    "reserved_domains",
    Column("domain", String(255), nullable=False, unique=True),
    Column("region", String(40), nullable=False, server_default=""),
    Column("is_dev", Boolean, nullable=False),
    Column("certificate_id", ID, ForeignKey("tls_certificates.id"), index=True),
    # Who issues automatically, and which kind of key; NULL when one was uploaded or none is wanted.
    Column("certificate_authority", String(255)),
    Column("certificate_key_type", String(16)),
    # A JSON list of region names; [] is everywhere.
    Column("resolves_to", Text, nullable=False, server_default="[]"),
)

cloud_endpoints = noun(
    "cloud_endpoints",
    Column("url", String(320), nullable=False, index=True),
    Column("binding", String(16), nullable=False),
    Column("pooling_enabled", Boolean, nullable=False),
    Column("traffic_policy", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("domain_id", ID, ForeignKey("reserved_domains.id"), index=True),
    Column("tcp_addr_id", ID, ForeignKey("reserved_addrs.id"), index=True),
)

reservations = Table(
    "reservations",
    metadata,
    Column("url", String(320), primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("session_key", String(255), nullable=False),
    # NULL while the session is online.
    Column("held_until", Float),
)

changes = Table(
    "changes",
    metadata,
    # What a running service must hear of, in order. AUTOINCREMENT: numbers are never used twice.
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("account_id", String(40), nullable=False),
    Column("subject_id", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Index(None, "at"),
    sqlite_autoincrement=True,
)
