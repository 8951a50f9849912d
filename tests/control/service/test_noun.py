"""What nouns share: whose a row is, and that nobody misses a change."""

from pathlib import Path
from typing import cast

import pytest
from tests.kit.names import configured, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import audit, vaults
from portway.control.service.vaults import NOUN
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import NotFound


async def test_each_change_is_told_to_the_data_plane_and_to_audit_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, str]] = []

    async def note(_connection: object, _context: object, stem: str, action: str, *more: object) -> None:
        _, seen = more
        assert isinstance(seen, dict)
        told.append((stem, action, str(cast("dict[str, object]", seen)["name"])))

    monkeypatch.setattr(audit, "note", note)
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        async with context.database.read() as connection:
            before = await changes.last(connection)
        told.clear()
        made = await vaults.create(context, ann.id, "a")
        async with context.database.write() as connection:
            changed = await NOUN.change(context, connection, ann.id, made.id, {"name": "b"})
            assert changed.name == "b"
            await NOUN.remove(context, connection, changed)
        async with context.database.read() as connection:
            noted = await changes.after(connection, before)
    assert told == [("vault", "created", "a"), ("vault", "updated", "b"), ("vault", "deleted", "b")]
    assert {(each.kind, each.subject_id) for each in noted} == {(changes.VAULT, made.id)}


async def test_what_others_have_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        made = await vaults.create(context, ann.id, "a")
        assert await NOUN.get(context, ann.id, made.id) == made
        assert await NOUN.listed(context, ann.id, Page()) == [made]
        assert await NOUN.listed(context, ben.id, Page()) == []
        with pytest.raises(NotFound, match="no such vault"):
            await NOUN.get(context, ben.id, made.id)
        async with context.database.write() as connection:
            with pytest.raises(NotFound, match="no such vault"):
                await NOUN.change(context, connection, ben.id, made.id, {"name": "b"})
        assert await NOUN.get(context, ann.id, made.id) == made
