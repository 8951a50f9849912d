"""All tables together: importing this completes the metadata that a new store is made from."""

from portway.control.store import edge_tables, event_tables, identity_tables, ip_tables, vault_tables
from portway.control.store.tables import metadata

__all__ = ["edge_tables", "event_tables", "identity_tables", "ip_tables", "metadata", "vault_tables"]
