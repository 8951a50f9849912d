"""SSH credentials: the public keys with which OpenSSH may connect instead of an agent."""

from typing import Final

from sqlalchemy import select

from portway.control.service import plans, shown
from portway.control.service.context import Context
from portway.control.service.keys import Texts
from portway.control.service.noun import Noun
from portway.control.store import accounts, changes, nouns
from portway.control.store.core import AsyncConnection
from portway.control.store.keys import read_acl
from portway.control.store.rows import AnyRow
from portway.control.store.tables import ssh_credentials
from portway.errors import Error, RefusedSession
from portway.model.entities import Grant, SshCredential
from portway.model.ids import new_id
from portway.model.ssh_key import SshKey, parse_ssh_key

_GATE: Final = plans.Gate("ssh_keys", "SSH keys", ssh_credentials, 617, 617, 608)


def _credential(row: AnyRow) -> SshCredential:
    return SshCredential(
        row.id,
        row.account_id,
        row.description,
        row.created_at,
        row.public_key,
        row.metadata,
        row.owner_id,
        read_acl(row.acl),
    )


NOUN: Final = Noun(
    ssh_credentials, _credential, shown.ssh_credential, changes.SSH_CREDENTIAL, "ssh_public_key"
)
get, page = NOUN.get, NOUN.listed


async def create(
    context: Context, account_id: str, public_key: str, given: Texts, owner_id: str = ""
) -> SshCredential:
    """Register a public key.

    Raises Error 611 or 612 for the key, 609 when the account has it, 610 when another has it, 600, 604
    or 605 for the rest, 608 or 617 when its plan is full.
    """
    key = parse_ssh_key(public_key)
    values = {"description": "", "metadata": "", "acl": "[]"} | given.values()
    async with context.database.write() as connection:
        await _check_new(connection, account_id, key)
        await plans.check_room(context, connection, account_id, _GATE)
        now = context.now()
        key_id = new_id("sshcr", context.random, now)
        values |= {
            "id": key_id,
            "account_id": account_id,
            "created_at": now,
            "public_key": key.line,
            "fingerprint": key.fingerprint,
            "owner_id": owner_id,
        }
        await nouns.add(connection, ssh_credentials, values)
        made = await NOUN.find(connection, account_id, key_id)
        await NOUN.noted(context, connection, "created", made)
        return made


async def update(context: Context, account_id: str, key_id: str, given: Texts) -> SshCredential:
    """Change what a key is called, and what it may. Raises NotFound, Error 600 or 604–606."""
    async with context.database.write() as connection:
        await NOUN.find(connection, account_id, key_id)
        return await NOUN.change(context, connection, account_id, key_id, given.news())


async def delete(context: Context, account_id: str, key_id: str) -> None:
    """Forget a key, which ends its sessions. Raises NotFound."""
    async with context.database.write() as connection:
        await NOUN.remove(context, connection, await NOUN.find(connection, account_id, key_id))


# What an SSH client does.


async def authenticate(context: Context, fingerprint: str) -> Grant:
    """Find whose key has this fingerprint ("SHA256:…"), which a client has proved or is about to prove.

    Raises Error 1102 when nobody has it, 1103 when the account's plan has no SSH keys any more,
    1125 when its rules for health data forbid SSH.
    """
    query = select(ssh_credentials).where(ssh_credentials.c.fingerprint == fingerprint)
    async with context.database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
        account = await accounts.find(connection, row.account_id) if row is not None else None
        if row is None or account is None:
            raise Error("No account of this service has this SSH key.", 1102)
        plan = await plans.plan_of(context, connection, account.id)
    if plan.ssh_keys == 0:
        excluded = "The plan of this account does not include connecting by SSH."
        raise RefusedSession(excluded, 1103, account.id, row.id)
    if plan.health_data:
        raise RefusedSession("Accounts with health data may not connect by SSH.", 1125, account.id, row.id)
    return Grant(account.id, account.name, account.plan, row.id, read_acl(row.acl))


async def _check_new(connection: AsyncConnection, account_id: str, key: SshKey) -> None:
    query = select(ssh_credentials.c.account_id).where(ssh_credentials.c.fingerprint == key.fingerprint)
    owner = (await connection.execute(query)).scalar()
    if owner == account_id:
        raise Error("This public key is registered on this account already.", 609)
    if owner is not None:
        raise Error("This public key is registered on another account.", 610)
