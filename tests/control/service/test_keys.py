"""What credentials and API keys share."""

import hashlib
import hmac
from pathlib import Path

import pytest
from tests.kit.store import opened

from portway.control.service import accounts
from portway.control.service.api_keys import KIND
from portway.control.service.keys import Texts


async def test_a_key_keeps_the_hash_of_its_token(tmp_path: Path) -> None:
    async with opened(tmp_path) as context, context.database.write() as connection:
        account = await accounts.add_within(context, connection, "a")
        row, token = await KIND.issue(context, connection, account.id, Texts("d"))
        assert row.token_hash == hashlib.sha256(token.encode()).digest()
        found = await KIND.check(connection, token)
    assert found is not None
    assert found[0] == row
    assert found[1].account_name == "a"


async def test_every_check_compares_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    async with opened(tmp_path) as context, context.database.write() as connection:
        account = await accounts.add_within(context, connection, "a")
        _, token = await KIND.issue(context, connection, account.id, Texts())
        monkeypatch.setattr(hmac, "compare_digest", compare)
        assert await KIND.check(connection, token)
        assert await KIND.check(connection, "no such row") is None
    assert compared == [(32, 32), (32, 32)], "an unknown row costs the same comparison"
