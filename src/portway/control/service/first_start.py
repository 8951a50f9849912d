"""What a first start makes: one account, its authtoken, its API key."""

from typing import Final

import msgspec

from portway.control.service import accounts, api_keys, credentials
from portway.control.service.context import Context
from portway.control.store import accounts as store
from portway.errors import Error

ACCOUNT: Final = "default"


class Secrets(msgspec.Struct, frozen=True):
    """The two secrets that ``bootstrap.json`` hands to agents and scripts of the same user.

    None: the store holds only a hash, so nobody can tell any more.
    """

    authtoken: str | None
    api_key: str | None
    fresh: bool = False

    def __repr__(self) -> str:
        """Tell what is there, never the secrets."""
        return (
            f"Secrets(authtoken={'set' if self.authtoken else None},"
            f" api_key={'set' if self.api_key else None}, fresh={self.fresh})"
        )


async def secrets_for_bootstrap(context: Context, kept: Secrets) -> Secrets:
    """Return what the bootstrap file shall say.

    An empty store gets an account and fresh secrets. Otherwise ``kept``, the secrets of the former
    file, are returned as far as they are still good.
    """
    async with context.database.write() as connection:
        if not await store.listed(connection):
            account = await accounts.add_within(context, connection, ACCOUNT)
            credential = await credentials.add_within(context, connection, account.id, "made at first start")
            api_key = await api_keys.add_within(context, connection, account.id, "made at first start")
            return Secrets(credential.token, api_key.token, fresh=True)
    return Secrets(await _good_authtoken(context, kept), await _good_api_key(context, kept))


async def _good_authtoken(context: Context, kept: Secrets) -> str | None:
    try:
        await credentials.authenticate(context, kept.authtoken or "")
    except Error:
        return None
    return kept.authtoken


async def _good_api_key(context: Context, kept: Secrets) -> str | None:
    return kept.api_key if kept.api_key and await api_keys.known(context, kept.api_key) else None
