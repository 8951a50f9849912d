"""What a first start makes, and what a later one gives back."""

from pathlib import Path

from tests.kit.store import opened

from portway.control.service import accounts, api_keys, credentials
from portway.control.service.first_start import Secrets, secrets_for_bootstrap

NONE = Secrets(None, None)


async def test_an_empty_store_gets_an_account_and_both_secrets(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        made = await secrets_for_bootstrap(context, Secrets("left from another store", None))
        assert made.fresh
        assert made.authtoken
        assert made.api_key
        (account,) = await accounts.listed(context)
        grant = await credentials.authenticate(context, made.authtoken)
        assert grant.account_id == account.id
        assert await api_keys.known(context, made.api_key)
        again = await secrets_for_bootstrap(context, made)
        assert again == Secrets(made.authtoken, made.api_key)
        assert len(await accounts.listed(context)) == 1
        assert made.authtoken not in repr(made)
        assert made.api_key not in repr(made)


async def test_lost_secrets_stay_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await secrets_for_bootstrap(context, NONE)
        assert await secrets_for_bootstrap(context, NONE) == NONE


async def test_a_revoked_secret_is_not_given_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        made = await secrets_for_bootstrap(context, NONE)
        (credential,) = await credentials.listed(context)
        await credentials.revoke(context, credential.id)
        assert await secrets_for_bootstrap(context, made) == Secrets(None, made.api_key)
        (key,) = await api_keys.listed(context)
        await api_keys.revoke(context, key.id)
        assert await secrets_for_bootstrap(context, made) == NONE
