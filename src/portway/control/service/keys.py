"""What credentials and API keys share: issuing, listing, changing, revoking and checking a secret.

A token is shown once, when it is issued. The store keeps its SHA-256; a presented token is compared
with it in constant time, and a row that does not exist costs the same comparison.

There are no users yet to own a key: a key belongs to whom the key that made it belongs.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import Table

from portway.control.service import accounts, audit, plans, texts
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.store import changes
from portway.control.store import keys as store
from portway.control.store.core import AsyncConnection
from portway.control.store.keys import KeyRow, Owner
from portway.control.store.rows import Page
from portway.errors import Error, NotFound
from portway.model.acl import Acl
from portway.model.entities import Issued
from portway.model.ids import new_id, new_token, token_row

TEXT_CODES: Final = (604, 605)
"""Codes of a description and of metadata that are too long."""

_NOBODY: Final = bytes(32)

T = TypeVar("T")


class Texts(msgspec.Struct, frozen=True):
    """What a key is given or changed to; None: left as it is."""

    description: str | None = None
    metadata: str | None = None
    acl: tuple[str, ...] | None = None

    def values(self) -> dict[str, object]:
        """Return the columns to write. Raises Error 604, 605 or 600."""
        texts.check(self.description, self.metadata, TEXT_CODES)
        values: dict[str, object] = dict(texts.given(description=self.description, metadata=self.metadata))
        if self.acl is not None:
            Acl.parse(self.acl)
            values["acl"] = store.written_acl(self.acl)
        return values

    def news(self) -> dict[str, object]:
        """Return the columns to change. Raises Error 606 when there are none, and as ``values`` does."""
        values = self.values()
        if not values:
            raise Error("The update names nothing to change.", 606)
        return values


def check_owner(asked: str, own: str) -> str:
    """Return whom a new key shall belong to. Raises Error 634: only the caller's own user can."""
    if asked and asked != own:
        raise Error(f"There is no user {asked[:100]!r} to own this.", 634)
    return own


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """One kind of key, and what tenants and the operator do with it."""

    table: Table
    prefix: str
    """Of its identifiers."""
    name: str
    """For people."""
    change: str
    """What the data plane calls its changes (``store/changes.py``)."""
    stem: str
    """What audit events call it (``model/event_types.py``)."""
    read: Callable[[KeyRow], T]
    shown: Callable[[Settings, T], dict[str, Any]]
    gate: plans.Gate

    # What a tenant does.

    async def create(self, context: Context, account_id: str, given: Texts, owner_id: str = "") -> Issued[T]:
        """Make a key of an account. Raises Error 600, 604, 605, the gate's when its plan is full."""
        async with context.database.write() as connection:
            await plans.check_room(
                context, connection, account_id, self.gate, self.table.c.revoked_at.is_(None)
            )
            row, token = await self.issue(context, connection, account_id, given, owner_id)
        return Issued(self.read(row), token)

    async def get(self, context: Context, account_id: str, key_id: str) -> T:
        """Return one of an account's keys. Raises NotFound."""
        async with context.database.read() as connection:
            return self.read(await self._find(connection, account_id, key_id))

    async def page(self, context: Context, account_id: str, page: Page) -> list[T]:
        """Return a page of an account's keys, newest first, and one beyond it if there are more."""
        async with context.database.read() as connection:
            return [self.read(row) for row in await store.page(connection, self.table, account_id, page)]

    async def update(self, context: Context, account_id: str, key_id: str, given: Texts) -> T:
        """Change what a key is called, and what it may. Raises NotFound, Error 600 or 604–606."""
        async with context.database.write() as connection:
            await self._find(connection, account_id, key_id)
            await store.change(connection, self.table, key_id, given.news())
            row = await self._find(connection, account_id, key_id)
            await self._noted(context, connection, "updated", row)
            return self.read(row)

    async def delete(self, context: Context, account_id: str, key_id: str) -> None:
        """Make an account's key useless; the sessions that it opened end. Raises NotFound."""
        async with context.database.write() as connection:
            await self._end(context, connection, await self._find(connection, account_id, key_id))

    # What the operator does, for any account.

    async def add(self, context: Context, account: str | None = None, description: str = "") -> Issued[T]:
        """Make a key of an account (identifier or name; None: the only one). Raises Error."""
        async with context.database.write() as connection:
            owner = await accounts.resolve(connection, account)
            return await self.add_within(context, connection, owner.id, description)

    async def add_within(
        self, context: Context, connection: AsyncConnection, account_id: str, description: str = ""
    ) -> Issued[T]:
        """Make a key as a part of a larger transaction. Raises Error 604."""
        row, token = await self.issue(context, connection, account_id, Texts(description))
        return Issued(self.read(row), token)

    async def listed(self, context: Context, account: str | None = None) -> list[T]:
        """Return the keys of one account or of all, oldest first, revoked ones too."""
        async with context.database.read() as connection:
            owner = (await accounts.resolve(connection, account)).id if account is not None else None
            return [self.read(row) for row in await store.listed(connection, self.table, owner)]

    async def revoke(self, context: Context, key: str) -> T:
        """Make a key useless, whoever owns it. ``key`` is its identifier. Raises Error when there is none.

        The sessions that it opened end within a second. Revoking twice is no error: the first time stands.
        """
        async with context.database.write() as connection:
            row = await store.find(connection, self.table, key)
            if row is None:
                raise Error(f"There is no {self.name} {key!r}.")
            if row.revoked_at is None:
                await self._end(context, connection, row)
                row = await store.find(connection, self.table, row.id) or row
            return self.read(row)

    # What is behind that.

    async def issue(
        self, context: Context, connection: AsyncConnection, account_id: str, given: Texts, owner_id: str = ""
    ) -> tuple[KeyRow, str]:
        """Make a key; return its row and its token, which cannot be had again. Raises Error 600, 604, 605."""
        given.values()
        now = context.now()
        key_id = new_id(self.prefix, context.random, now)
        token = new_token(key_id, context.random)
        row = KeyRow(
            key_id,
            account_id,
            given.description or "",
            _hash(token),
            now,
            metadata=given.metadata or "",
            owner_id=owner_id,
            acl=given.acl or (),
        )
        await store.add(connection, self.table, row)
        await self._noted(context, connection, "created", row)
        return row, token

    async def check(self, connection: AsyncConnection, token: str) -> tuple[KeyRow, Owner] | None:
        """Return key and account of a token that is good now, else None."""
        found = await self.owner_of(connection, token)
        return found if found is not None and found[0].revoked_at is None else None

    async def owner_of(self, connection: AsyncConnection, token: str) -> tuple[KeyRow, Owner] | None:
        """Return key and account of a token, good or revoked; None if it never was one."""
        found = await store.owner(connection, self.table, f"{self.prefix}_{token_row(token)}")
        expected = found[0].token_hash if found else _NOBODY
        same = hmac.compare_digest(_hash(token), expected)
        return found if found and same else None

    async def known(self, context: Context, token: str) -> bool:
        """Tell whether a token is good now."""
        async with context.database.read() as connection:
            return await self.check(connection, token) is not None

    async def _find(self, connection: AsyncConnection, account_id: str, key_id: str) -> KeyRow:
        row = await store.owned(connection, self.table, account_id, key_id)
        if row is None:
            raise NotFound
        return row

    async def _end(self, context: Context, connection: AsyncConnection, row: KeyRow) -> None:
        await store.revoke(connection, self.table, row.id, context.now())
        await self._noted(context, connection, "deleted", row)

    async def _noted(
        self, context: Context, connection: AsyncConnection, action: audit.Action, row: KeyRow
    ) -> None:
        await changes.note(connection, self.change, row.account_id, row.id, context.now())
        seen = self.shown(context.settings, self.read(row))
        await audit.note(connection, context, self.stem, action, row.account_id, seen)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
