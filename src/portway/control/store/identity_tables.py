"""The tables of people who have signed in at endpoints of an account, and of their sessions.

A session stands under the hash of its cookie: who reads the store cannot enter with it. What the provider
gave for the person is sealed with the key beside the store.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from portway.control.store.tables import ID, metadata

application_users = Table(
    "application_users",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    # "google" and the like, or the issuer; then whom the operator has put in its place, if so.
    Column("provider", String(255), nullable=False),
    Column("provider_url", String(255), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("email", String(255), nullable=False),
    Column("name", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_active", Float, nullable=False),
    Column("last_login", Float, nullable=False),
    UniqueConstraint("account_id", "provider", "provider_url", "subject"),
    Index(None, "account_id", "id"),
)

application_sessions = Table(
    "application_sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("user_id", ID, ForeignKey("application_users.id"), nullable=False, index=True),
    # The endpoint at which it began; that may be long gone.
    Column("endpoint_id", ID, nullable=False),
    Column("public_url", Text, nullable=False),
    # Where its cookie is good, whose it is at which provider, and what was asked for.
    Column("realm", Text, nullable=False),
    Column("client", String(64), nullable=False),
    Column("settings", String(64), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("sealed_tokens", LargeBinary, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("ip", String(64), nullable=False),
    Column("country", String(8), nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    Column("radius", Integer, nullable=False),
    # Its bounds in seconds, 0 for none.
    Column("idle", Float, nullable=False),
    Column("most", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_active", Float, nullable=False),
    Column("refreshed_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Index(None, "account_id", "id"),
)
