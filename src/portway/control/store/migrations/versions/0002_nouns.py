"""What accounts own: rights of keys, SSH keys, addresses, domains, certificates, cloud endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")


def upgrade() -> None:
    """Add columns to the keys, and the new tables."""
    _compare_identifiers_by_byte()
    for table in ("credentials", "api_keys"):
        op.add_column(table, sa.Column("metadata", sa.Text, nullable=False, server_default=""))
        op.add_column(table, sa.Column("owner_id", _ID, nullable=False, server_default=""))
        op.drop_index(f"ix_{table}_account_id", table)
        op.create_index(f"ix_{table}_account_id_id", table, ["account_id", "id"])
    op.add_column("credentials", sa.Column("acl", sa.Text, nullable=False, server_default="[]"))
    _noun(
        "ssh_credentials",
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("acl", sa.Text, nullable=False, server_default="[]"),
        sa.Column("owner_id", _ID, nullable=False, server_default=""),
        sa.UniqueConstraint("fingerprint", name="uq_ssh_credentials_fingerprint"),
    )
    _noun(
        "reserved_addrs",
        sa.Column("region", sa.String(40), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.UniqueConstraint("host", "port", name="uq_reserved_addrs_host_port"),
    )
    op.create_table(
        "former_addrs",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("port", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deleted_at", sa.Float, nullable=False),
    )
    _noun(
        "tls_certificates",
        sa.Column("certificate_pem", sa.Text, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
        sa.Column("subject_common_name", sa.Text, nullable=False),
        sa.Column("serial_number", sa.String(64), nullable=False),
        sa.Column("not_before", sa.Float, nullable=False),
        sa.Column("not_after", sa.Float, nullable=False),
        sa.Column("issued_at", sa.Float),
    )
    _noun(
        "certificate_authorities",
        sa.Column("ca_pem", sa.Text, nullable=False),
        sa.Column("subject_common_name", sa.Text, nullable=False),
        sa.Column("not_before", sa.Float, nullable=False),
        sa.Column("not_after", sa.Float, nullable=False),
    )
    _noun(
        "reserved_domains",
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("region", sa.String(40), nullable=False, server_default=""),
        sa.Column("is_dev", sa.Boolean, nullable=False),
        sa.Column("certificate_id", _ID),
        sa.Column("certificate_authority", sa.String(255)),
        sa.Column("certificate_key_type", sa.String(16)),
        sa.Column("resolves_to", sa.Text, nullable=False, server_default="[]"),
        sa.UniqueConstraint("domain", name="uq_reserved_domains_domain"),
        _to("reserved_domains", "certificate_id", "tls_certificates"),
        indexed=("certificate_id",),
    )
    _noun(
        "cloud_endpoints",
        sa.Column("url", sa.String(320), nullable=False),
        sa.Column("binding", sa.String(16), nullable=False),
        sa.Column("pooling_enabled", sa.Boolean, nullable=False),
        sa.Column("traffic_policy", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("domain_id", _ID),
        sa.Column("tcp_addr_id", _ID),
        _to("cloud_endpoints", "domain_id", "reserved_domains"),
        _to("cloud_endpoints", "tcp_addr_id", "reserved_addrs"),
        indexed=("url", "domain_id", "tcp_addr_id"),
    )


def downgrade() -> None:
    """Drop the new tables and columns."""
    for table in (
        "cloud_endpoints",
        "reserved_domains",
        "certificate_authorities",
        "tls_certificates",
        "former_addrs",
        "reserved_addrs",
        "ssh_credentials",
    ):
        op.drop_table(table)
    op.drop_column("credentials", "acl")
    for table in ("credentials", "api_keys"):
        op.drop_index(f"ix_{table}_account_id_id", table)
        op.create_index(f"ix_{table}_account_id", table, ["account_id"])
        op.drop_column(table, "owner_id")
        op.drop_column(table, "metadata")


def _noun(name: str, *columns: "sa.Column[object] | sa.Constraint", indexed: tuple[str, ...] = ()) -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Float, nullable=False),
        *columns,
        _to(name, "account_id", "accounts"),
    )
    op.create_index(f"ix_{name}_account_id_id", name, ["account_id", "id"])
    for column in indexed:
        op.create_index(f"ix_{name}_{column}", name, [column])


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"fk_{table}_{column}")


def _compare_identifiers_by_byte() -> None:
    """Give the identifiers of the first tables the order of their bytes; SQLite has it anyway."""
    if op.get_context().dialect.name != "postgresql":
        return
    for table, column in (
        ("accounts", "id"),
        ("credentials", "id"),
        ("credentials", "account_id"),
        ("api_keys", "id"),
        ("api_keys", "account_id"),
        ("reservations", "account_id"),
    ):
        op.alter_column(table, column, type_=_ID)
