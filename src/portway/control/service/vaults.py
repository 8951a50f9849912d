"""Vaults: sets of secrets that traffic policies read by name."""

from typing import Any, Final

from portway.control.service import shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import changes, nouns, vault_tables
from portway.control.store.core import AsyncConnection
from portway.control.store.vault_tables import vault_secrets, vaults
from portway.errors import Error, NotFound
from portway.model.ids import new_id
from portway.model.vault import NAME, Vault, is_name

LIMIT: Final = 1000
"""Vaults of one account."""
TEXTS: Final = (23002, 23002)

NOUN: Final = Noun(
    vaults,
    vault_tables.vault,
    shown.vault,
    changes.VAULT,
    "vault",
    lambda: NotFound("There is no such vault."),
)
get, listed = NOUN.get, NOUN.listed


async def create(
    context: Context, account_id: str, name: str, *, description: str = "", metadata: str = ""
) -> Vault:
    """Make an empty vault. Raises Error 23000 to 23002 for its name or texts, 23004, 23005."""
    check_name(name, "vault", 23000)
    texts.check(description, metadata, TEXTS)
    async with context.database.write() as connection:
        await _check_free(connection, account_id, name)
        if await nouns.count(connection, vaults, account_id) >= LIMIT:
            raise Error(f"An account may have {LIMIT} vaults.", 23005)
        now, who = context.now(), made_by(context)
        made = Vault(
            new_id("vault", context.random, now), account_id, name, description, metadata, now, now, who, who
        )
        values: dict[str, Any] = {
            "id": made.id, "account_id": account_id, "name": name, "description": description,
            "metadata": metadata, "created_at": now, "updated_at": now, "created_by": who, "updated_by": who,
        }  # fmt: skip
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    vault_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    metadata: str | None = None,
) -> Vault:
    """Change a vault; policies find its secrets under the new name at once. Raises as ``create`` does."""
    if name is not None:
        check_name(name, "vault", 23000)
    texts.check(description, metadata, TEXTS)
    async with context.database.write() as connection:
        found = await NOUN.find(connection, account_id, vault_id)
        if name is not None and name != found.name:
            await _check_free(connection, account_id, name)
        values: dict[str, Any] = texts.given(name=name, description=description, metadata=metadata)
        values |= {"updated_at": context.now(), "updated_by": made_by(context)}
        return await NOUN.change(context, connection, account_id, vault_id, values)


async def delete(context: Context, account_id: str, vault_id: str) -> None:
    """Delete an empty vault. Raises NotFound, Error 23003 while there are secrets in it."""
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, vault_id)
        if await nouns.count(connection, vault_secrets, account_id, vault_secrets.c.vault_id == vault_id):
            raise Error("The vault is not empty.", 23003)
        await NOUN.remove(context, connection, gone)


def check_name(name: str, what: str, code: int) -> None:
    """Refuse what is no name: with ``code`` and the two that follow it."""
    if not name:
        raise Error(f"A {what} needs a name.", code + 1)
    if len(name) > NAME:
        raise Error(f"The name of a {what} is at most {NAME} characters long.", code + 2)
    if not is_name(name):
        raise Error(f"The name of a {what} has letters, digits and _ / . - only.", code)


def made_by(context: Context) -> str:
    """Return who makes a change: a user, or an API key; "" for nobody."""
    return context.principal.id or context.principal.credential_id


async def _check_free(connection: AsyncConnection, account_id: str, name: str) -> None:
    if await vault_tables.by_name(connection, account_id, name) is not None:
        raise Error(f"The account has a vault of the name {name!r} already.", 23004)
