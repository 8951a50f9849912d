"""The order of changes."""

from pathlib import Path

from tests.kit.store import Clock, opened

from portway.control.store import changes


async def test_changes_follow_a_number_and_old_ones_go(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context, context.database.write() as connection:
        assert await changes.last(connection) == 0
        for subject in ("cr_1", "cr_2", "cr_3"):
            await changes.note(connection, changes.CREDENTIAL_REVOKED, "ac_1", subject, clock.now)
            clock.now += 1
        assert [each.subject_id for each in await changes.after(connection, 1)] == ["cr_2", "cr_3"]
        assert await changes.last(connection) == 3
        clock.now += changes.KEPT
        await changes.note(connection, "other", "ac_1", "x", clock.now)
        assert [each.seq for each in await changes.after(connection, 0)] == [4]
