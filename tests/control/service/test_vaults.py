"""Vaults of accounts."""

from pathlib import Path

import pytest
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import vault_secrets, vaults
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import NotFound


async def test_a_vault_from_beginning_to_end(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        made = await vaults.create(context, ann.id, "prod", description="d", metadata="m")
        assert (made.name, made.created_at) == ("prod", made.updated_at)
        clock.now += 5
        changed = await vaults.update(context, ann.id, made.id, name="live")
        assert (changed.name, changed.description, changed.updated_at) == ("live", "d", made.created_at + 5)
        await vaults.create(context, ann.id, "prod")
        assert len(await vaults.listed(context, ann.id, Page())) == 2
        assert await vaults.listed(context, ben.id, Page()) == []
        with pytest.raises(NotFound):
            await vaults.get(context, ben.id, made.id)
        await vaults.create(context, ben.id, "live")
        async with context.database.read() as connection:
            before = await changes.last(connection)
        await vaults.delete(context, ann.id, made.id)
        async with context.database.read() as connection:
            noted = await changes.after(connection, before)
        assert [(each.kind, each.subject_id) for each in noted] == [(changes.VAULT, made.id)]


async def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        made = await vaults.create(context, ann.id, "prod")
        for name, code in (("a b", 23000), ("", 23001), ("x" * 256, 23002), ("prod", 23004)):
            with refused(code):
                await vaults.create(context, ann.id, name)
        with refused(23002):
            await vaults.create(context, ann.id, "b", description="x" * 256)
        other = await vaults.create(context, ann.id, "other")
        with refused(23004):
            await vaults.update(context, ann.id, other.id, name="prod")
        await vault_secrets.create(context, ann.id, "key", "value", vault_id=made.id)
        with refused(23003):
            await vaults.delete(context, ann.id, made.id)
        monkeypatch.setattr(vaults, "LIMIT", 2)
        with refused(23005):
            await vaults.create(context, ann.id, "third")
