"""Alembic's entry: the migrations run on the transaction that the caller has begun."""

from typing import TYPE_CHECKING, cast

from alembic import context

from portway.control.store.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

context.configure(
    connection=cast("Connection", context.config.attributes["connection"]),
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
