"""API keys."""

from pathlib import Path

import pytest
from tests.kit.store import opened

from portway.control.service import accounts, api_keys, credentials
from portway.errors import Error


async def test_an_api_key_is_known_until_it_is_revoked(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account = await accounts.add(context, "a")
        issued = await api_keys.add(context, "a", "script")
        assert issued.value.id.startswith("ak_")
        assert issued.value.account_id == account.id
        assert await api_keys.known(context, issued.token)
        assert await api_keys.listed(context, "a") == [issued.value]
        revoked = await api_keys.revoke(context, issued.value.id)
        assert revoked.revoked_at is not None
        assert not await api_keys.known(context, issued.token)
        assert await api_keys.listed(context) == [revoked]


async def test_an_authtoken_is_no_api_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        assert not await api_keys.known(context, (await credentials.add(context)).token)
        with pytest.raises(Error, match="no API key"):
            await api_keys.revoke(context, "ak_x")
