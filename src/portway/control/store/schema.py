"""All tables together: importing this completes the metadata that a new store is made from."""

from portway.control.store.tables import metadata

__all__ = ["metadata"]
