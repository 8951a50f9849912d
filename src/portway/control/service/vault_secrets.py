"""Secrets in vaults: written through the API, read by traffic policies alone.

A value is sealed when it arrives. No answer, event or log holds it; the data plane is given what is sealed.
"""

from typing import Any, Final

from portway.control.service import audit, shown, texts, vaults
from portway.control.service.context import Context
from portway.control.store import changes, nouns, rows, vault_tables
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page
from portway.control.store.vault_tables import vault_secrets
from portway.errors import Error, NotFound
from portway.model.ids import new_id
from portway.model.vault import VALUE, Secret, Vault

LIMIT: Final = 10_000
"""Secrets of one account."""
TEXTS: Final = (24002, 24002)


async def create(
    context: Context,
    account_id: str,
    name: str,
    value: str,
    *,
    vault_id: str = "",
    vault_name: str = "",
    description: str = "",
    metadata: str = "",
) -> Secret:
    """Put a secret into a vault. Raises Error 24000 to 24009."""
    vaults.check_name(name, "secret", 24000)
    _check_value(value)
    texts.check(description, metadata, TEXTS)
    async with context.database.write() as connection:
        vault = await _vault(connection, account_id, vault_id, vault_name)
        await _check_free(connection, account_id, vault.id, name)
        if await nouns.count(connection, vault_secrets, account_id) >= LIMIT:
            raise Error(f"An account may have {LIMIT} secrets.", 24007)
        now, who = context.now(), vaults.made_by(context)
        secret_id = new_id("secret", context.random, now)
        values: dict[str, Any] = {
            "id": secret_id, "account_id": account_id, "vault_id": vault.id, "name": name,
            "sealed": context.seal.seal(value.encode(), secret_id), "description": description,
            "metadata": metadata, "created_at": now, "updated_at": now, "created_by": who, "updated_by": who,
        }  # fmt: skip
        await nouns.add(connection, vault_secrets, values)
        made = await find(connection, account_id, secret_id)
        await _noted(context, connection, "created", made)
    return made


async def get(context: Context, account_id: str, secret_id: str) -> Secret:
    """Return what is told of a secret. Raises NotFound."""
    async with context.database.read() as connection:
        return await find(connection, account_id, secret_id)


async def listed(context: Context, account_id: str, page: Page, vault_id: str = "") -> list[Secret]:
    """Return a page of an account's secrets, or of one vault's, newest first, and one beyond it.

    Raises NotFound when there is no such vault.
    """
    async with context.database.read() as connection:
        where = ()
        if vault_id:
            await vaults.NOUN.find(connection, account_id, vault_id)
            where = (vault_secrets.c.vault_id == vault_id,)
        found = await rows.page(connection, vault_secrets, account_id, page, *where)
        names = await vault_tables.names_of(connection, account_id, [row.vault_id for row in found])
        return [vault_tables.secret(row, names[row.vault_id]) for row in found]


async def update(
    context: Context,
    account_id: str,
    secret_id: str,
    *,
    name: str | None = None,
    value: str | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> Secret:
    """Change a secret: every policy uses the new value with its next request. Raises as ``create`` does."""
    if name is not None:
        vaults.check_name(name, "secret", 24000)
    if value is not None:
        _check_value(value)
    texts.check(description, metadata, TEXTS)
    async with context.database.write() as connection:
        found = await find(connection, account_id, secret_id)
        if name is not None and name != found.name:
            await _check_free(connection, account_id, found.vault_id, name)
        values: dict[str, Any] = texts.given(name=name, description=description, metadata=metadata)
        values |= {"updated_at": context.now(), "updated_by": vaults.made_by(context)}
        if value is not None:
            values["sealed"] = context.seal.seal(value.encode(), secret_id)
        await nouns.change(connection, vault_secrets, account_id, secret_id, values)
        changed = await find(connection, account_id, secret_id)
        await _noted(context, connection, "updated", changed)
    return changed


async def delete(context: Context, account_id: str, secret_id: str) -> None:
    """Delete a secret. Raises NotFound."""
    async with context.database.write() as connection:
        gone = await find(connection, account_id, secret_id)
        await nouns.remove(connection, vault_secrets, account_id, secret_id)
        await _noted(context, connection, "deleted", gone)


async def find(connection: AsyncConnection, account_id: str, secret_id: str) -> Secret:
    """Return what is told of a secret. Raises NotFound."""
    row = await nouns.find(connection, vault_secrets, account_id, secret_id)
    if row is None:
        raise NotFound("There is no such secret.")
    names = await vault_tables.names_of(connection, account_id, [row.vault_id])
    return vault_tables.secret(row, names[row.vault_id])


def _check_value(value: str) -> None:
    if not value:
        raise Error("A secret needs a value.", 24003)
    if len(value.encode()) > VALUE:
        raise Error(f"The value of a secret is at most {VALUE} bytes long.", 24004)


async def _vault(connection: AsyncConnection, account_id: str, vault_id: str, name: str) -> Vault:
    """Find the vault that a secret shall go into. Raises Error 24006, 24008 or 24009."""
    if not vault_id and not name:
        raise Error("A secret needs a vault: name one by vault_id or vault_name.", 24008)
    if vault_id:
        try:
            named = await vaults.NOUN.find(connection, account_id, vault_id)
        except NotFound as error:
            raise Error("There is no such vault.", 24006) from error
        if name and named.name != name:
            raise Error("vault_id and vault_name name different vaults.", 24009)
        return named
    found = await vault_tables.by_name(connection, account_id, name)
    if found is None:
        raise Error(f"There is no vault of the name {name!r}.", 24009)
    return found


async def _check_free(connection: AsyncConnection, account_id: str, vault_id: str, name: str) -> None:
    if await vault_tables.secret_named(connection, account_id, vault_id, name) is not None:
        raise Error(f"The vault has a secret of the name {name!r} already.", 24005)


async def _noted(context: Context, connection: AsyncConnection, action: audit.Action, secret: Secret) -> None:
    await changes.note(connection, changes.SECRET, secret.account_id, secret.id, context.now())
    seen = shown.secret(context.settings, secret)
    await audit.note(connection, context, "secret", action, secret.account_id, seen)
