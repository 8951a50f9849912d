"""The tables, as the newest migration leaves them.

Times are Unix seconds. Secrets are never here: a key keeps the SHA-256 of its whole token, which is
safe without salt or stretching because a token holds 125 random bits.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key_table(name: str) -> Table:
    """Credentials and API keys differ in what they open, not in shape."""
    return Table(
        name,
        metadata,
        Column("id", String(40), primary_key=True),
        Column("account_id", String(40), ForeignKey("accounts.id"), nullable=False, index=True),
        Column("description", String(255), nullable=False),
        Column("token_hash", LargeBinary(32), nullable=False),
        Column("created_at", Float, nullable=False),
        Column("revoked_at", Float),
    )


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("plan", String(40), nullable=False),
    Column("created_at", Float, nullable=False),
)

credentials = _key_table("credentials")
api_keys = _key_table("api_keys")

reservations = Table(
    "reservations",
    metadata,
    Column("url", String(320), primary_key=True),
    Column("account_id", String(40), ForeignKey("accounts.id"), nullable=False, index=True),
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
