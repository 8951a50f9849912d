"""The order of changes."""

from pathlib import Path

from tests.kit.store import Clock, opened

from portway.control.store import changes


async def test_changes_follow_a_number_and_old_ones_go(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context, context.database.write() as connection:
        assert await changes.last(connection) == 0
        for subject in ("cr_1", "cr_2", "cr_3"):
            await changes.note(connection, changes.CREDENTIAL, "ac_1", subject, clock.now)
            clock.now += 1
        assert [each.subject_id for each in await changes.after(connection, 1)] == ["cr_2", "cr_3"]
        assert await changes.last(connection) == 3
        clock.now += changes.KEPT
        await changes.note(connection, "other", "ac_1", "x", clock.now)
        assert [each.seq for each in await changes.after(connection, 0)] == [4]


async def test_whether_a_number_can_be_followed(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context, context.database.write() as connection:
        assert await changes.follows(connection, 0)
        assert not await changes.follows(connection, 1), "it is of another store"
        for _ in range(3):
            await changes.note(connection, changes.API_KEY, "ac_1", "ak_1", clock.now)
        assert [await changes.follows(connection, seq) for seq in range(5)] == [True] * 4 + [False]
        clock.now += changes.KEPT + 1
        await changes.note(connection, changes.API_KEY, "ac_1", "ak_1", clock.now)
        assert [await changes.follows(connection, seq) for seq in range(6)] == [False] * 3 + [True] * 2 + [
            False
        ]
        assert [each.seq for each in await changes.after(connection, 0, limit=1)] == [4]
