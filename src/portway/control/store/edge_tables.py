"""Tables of edges, their addresses and routes, and of backends.

Modules and the fields of each kind of backend are JSON: they are always read and written whole. What they
name by identifier is looked for in them, within one account, before it may be deleted.
"""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portway.control.store.tables import ID, metadata, noun

edges = noun(
    "edges",
    # tcp, tls or https
    Column("kind", String(8), nullable=False),
    Column("modules", Text, nullable=False),
)

edge_endpoints = Table(
    "edge_endpoints",
    metadata,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("edge_id", ID, ForeignKey("edges.id"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("hostport", String(320), nullable=False),
    Column("url", String(320), nullable=False, index=True),
    # "tcp host:port" or "tls host": https and tls share a listener.
    Column("place", String(320), nullable=False, unique=True),
    Column("domain_id", ID, ForeignKey("reserved_domains.id"), index=True),
    Column("tcp_addr_id", ID, ForeignKey("reserved_addrs.id"), index=True),
    Column("created_at", Float, nullable=False),
    Index(None, "account_id", "id"),
)

edge_routes = noun(
    "edge_routes",
    Column("edge_id", ID, ForeignKey("edges.id"), nullable=False),
    # exact_path or path_prefix
    Column("match_type", String(16), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("modules", Text, nullable=False),
    UniqueConstraint("edge_id", "path"),
)

backends = noun(
    "backends",
    # tunnel_group, weighted, failover, http_response or static
    Column("kind", String(16), nullable=False),
    Column("spec", Text, nullable=False),
)
