"""The tables of vaults."""

from pathlib import Path

from tests.kit.names import configured, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import vault_secrets, vaults
from portway.control.store import vault_tables


async def test_names_are_looked_up_within_an_account(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        made = await vaults.create(context, ann.id, "prod")
        secret = await vault_secrets.create(context, ann.id, "key", "v", vault_id=made.id)
        async with context.database.read() as connection:
            assert await vault_tables.by_name(connection, ann.id, "prod") == made
            assert await vault_tables.by_name(connection, ben.id, "prod") is None
            assert await vault_tables.secret_named(connection, ann.id, made.id, "key") == secret.id
            assert await vault_tables.secret_named(connection, ben.id, made.id, "key") is None
            assert await vault_tables.names_of(connection, ben.id, [made.id]) == {}
