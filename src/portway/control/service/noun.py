"""What the use cases of most nouns share: finding and listing rows, and telling that one has changed.

A noun says once where it is kept, how a row is read and shown, and what its changes are called::

    NOUN: Final = Noun(vaults, vault_tables.vault, shown.vault, changes.VAULT, "vault")
    get, listed = NOUN.get, NOUN.listed

What makes, changes and removes it stays with the noun. All of it ends in :meth:`Noun.add`,
:meth:`Noun.change`, :meth:`Noun.remove` or :meth:`Noun.noted`, so no change goes past the data plane or the
audit events.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from sqlalchemy import Table

from portway.control.service import audit, texts
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store import changes, nouns, rows
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import AnyRow, Page
from portway.errors import NotFound


class Owned(Protocol):
    """A value that an account owns."""

    @property
    def id(self) -> str:
        """Return its identifier."""
        ...

    @property
    def account_id(self) -> str:
        """Return whose it is."""
        ...


T = TypeVar("T", bound=Owned)


class Noun(msgspec.Struct, Generic[T], frozen=True):
    """One kind of thing that accounts own."""

    table: Table
    read: Callable[[AnyRow], T]
    shown: Callable[[Settings, T], Mapping[str, Any]]
    kind: str
    """What the data plane calls its changes (``store/changes.py``)."""
    stem: str
    """What audit events call it (``model/event_types.py``)."""
    missing: Callable[[], NotFound] = NotFound
    """What is raised where the account has no such row."""

    async def get(self, context: Context, account_id: str, row_id: str) -> T:
        """Return one that an account owns. Raises NotFound."""
        async with context.database.read() as connection:
            return await self.find(connection, account_id, row_id)

    async def listed(self, context: Context, account_id: str, page: Page) -> list[T]:
        """Return a page of what an account owns, newest first, and one beyond it if there are more."""
        async with context.database.read() as connection:
            return [self.read(row) for row in await rows.page(connection, self.table, account_id, page)]

    async def find(self, connection: AsyncConnection, account_id: str, row_id: str) -> T:
        """Return one that an account owns. Raises NotFound."""
        row = await nouns.find(connection, self.table, account_id, row_id)
        if row is None:
            raise self.missing()
        return self.read(row)

    async def add(
        self, context: Context, connection: AsyncConnection, values: Mapping[str, Any], made: T
    ) -> None:
        """Write a row and tell of it: ``made`` is what it stands for."""
        await nouns.add(connection, self.table, dict(values))
        await self.noted(context, connection, "created", made)

    async def change(
        self,
        context: Context,
        connection: AsyncConnection,
        account_id: str,
        row_id: str,
        values: Mapping[str, Any],
    ) -> T:
        """Write columns, tell of it, and return what the row stands for then. Raises NotFound."""
        row = await nouns.change(connection, self.table, account_id, row_id, dict(values))
        if row is None:
            raise self.missing()
        changed = self.read(row)
        await self.noted(context, connection, "updated", changed)
        return changed

    async def change_texts(
        self,
        context: Context,
        account_id: str,
        row_id: str,
        codes: tuple[int, int],
        description: str | None,
        metadata: str | None,
    ) -> T:
        """Change the texts of one; nothing given changes nothing. Raises NotFound, Error of these codes."""
        texts.check(description, metadata, codes)
        values = texts.given(description=description, metadata=metadata)
        if not values:
            return await self.get(context, account_id, row_id)
        async with context.database.write() as connection:
            return await self.change(context, connection, account_id, row_id, values)

    async def remove(self, context: Context, connection: AsyncConnection, gone: T) -> None:
        """Remove the row of what was found, and tell of it."""
        await nouns.remove(connection, self.table, gone.account_id, gone.id)
        await self.noted(context, connection, "deleted", gone)

    async def noted(
        self, context: Context, connection: AsyncConnection, action: audit.Action, each: T
    ) -> None:
        """Tell the data plane and the audit events, in the transaction that makes the change."""
        await changes.note(connection, self.kind, each.account_id, each.id, context.now())
        seen = self.shown(context.settings, each)
        await audit.note(connection, context, self.stem, action, each.account_id, seen)
