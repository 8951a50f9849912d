"""What was counted, over restarts."""

from pathlib import Path

from portway.control.events.tally import NAME, Tally
from portway.control.ports import Delivered


async def test_counts_survive(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    tally = Tally(folder)
    assert await tally.load() == {}
    await tally.save({"ed_1": Delivered(3, 2, 1, 9, "no"), "ed_2": Delivered()})
    assert await Tally(folder).load() == {"ed_1": Delivered(3, 2, 1)}
    written = (folder / NAME).stat()
    await tally.save({"ed_1": Delivered(3, 2, 1)})
    assert (folder / NAME).stat().st_ino == written.st_ino, "what is written already is not written again"
    assert written.st_mode & 0o777 == 0o600


async def test_a_file_that_is_broken_or_cannot_be_written_costs_the_counts_alone(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    assert await Tally(tmp_path).load() == {}
    await Tally(tmp_path / NAME).save({"ed_1": Delivered(1)})
    assert await Tally(None).load() == {}
    await Tally(None).save({"ed_1": Delivered(1)})
