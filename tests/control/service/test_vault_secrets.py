"""Secrets of accounts: sealed at rest, and told to nobody."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, everything, opened

from portway.control.service import shown, vault_secrets, vaults
from portway.control.store import changes
from portway.control.store import view as store_view
from portway.control.store.rows import Page
from portway.control.store.vault_tables import vault_secrets as table
from portway.errors import NotFound
from portway.model.view import SecretItem

VALUE = "gr\u00fc\u00df dich"


async def test_a_secret_from_beginning_to_end(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        vault = await vaults.create(context, ann.id, "prod")
        other = await vaults.create(context, ann.id, "other")
        made = await vault_secrets.create(context, ann.id, "key", VALUE, vault_id=vault.id)
        await vault_secrets.create(context, ann.id, "key", "x", vault_name="other")
        assert (made.vault_id, made.vault_name) == (vault.id, "prod")
        assert VALUE not in repr(made) + repr(shown.secret(context.settings, made))
        assert len(await vault_secrets.listed(context, ann.id, Page())) == 2
        assert [each.id for each in await vault_secrets.listed(context, ann.id, Page(), vault.id)] == [
            made.id
        ]
        for call in (
            vault_secrets.get(context, ben.id, made.id),
            vault_secrets.delete(context, ben.id, made.id),
            vault_secrets.update(context, ben.id, made.id, value="stolen"),
            vault_secrets.listed(context, ben.id, Page(), vault.id),
        ):
            with pytest.raises(NotFound):
                await call
        with refused(24006):
            await vault_secrets.create(context, ben.id, "key", "x", vault_id=vault.id)
        changed = await vault_secrets.update(context, ann.id, made.id, name="token", value="new")
        assert changed.name == "token"
        await vault_secrets.delete(context, ann.id, made.id)
        assert other.id


@pytest.mark.row("P-34")
async def test_a_value_is_sealed_in_the_store_and_on_its_way_to_the_edge(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        vault = await vaults.create(context, ann.id, "prod")
        made = await vault_secrets.create(context, ann.id, "key", VALUE, vault_id=vault.id)
        async with context.database.read() as connection:
            sealed = (await connection.execute(select(table.c.sealed))).scalar_one()
            (item,) = await store_view.rows_after(connection, changes.SECRET, "")
        assert VALUE.encode() not in sealed
        assert isinstance(item, SecretItem)
        assert VALUE not in repr(item)
        assert context.seal.open(sealed, made.id) == VALUE.encode()
        written = await asyncio.to_thread(everything, tmp_path)
    assert made.id.encode() in written
    assert VALUE.encode() not in written


async def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        vault = await vaults.create(context, ann.id, "prod")
        await vaults.create(context, ann.id, "other")
        made = await vault_secrets.create(context, ann.id, "key", "x", vault_id=vault.id)

        async def create(name: str = "a", value: str = "x", vault_id: str = vault.id, by: str = "") -> None:
            await vault_secrets.create(context, ann.id, name, value, vault_id=vault_id, vault_name=by)

        for code, call in (
            (24000, create("a b")),
            (24001, create("")),
            (24002, create("x" * 256)),
            (24003, create(value="")),
            (24004, create(value="x" * 32_769)),
            (24005, create("key")),
            (24006, create(vault_id="vault_x")),
            (24008, create(vault_id="")),
            (24009, create(vault_id="", by="nowhere")),
            (24009, create(by="other")),
        ):
            with refused(code):
                await call
        await create("second")
        with refused(24005):
            await vault_secrets.update(context, ann.id, made.id, name="second")
        with refused(24003):
            await vault_secrets.update(context, ann.id, made.id, value="")
        monkeypatch.setattr(vault_secrets, "LIMIT", 2)
        with refused(24007):
            await create("third")
