"""Tables: columns as wide as they need to be."""

import pytest

from portway.cli.table import show_table


def test_columns_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([{"id": "a", "made_at": None, "on": True}, {"id": "longer", "made_at": "now", "on": False}])
    assert capsys.readouterr().out.splitlines() == [
        "ID      MADE AT  ON",
        "a       –        yes",
        "longer  now      no",
    ]


def test_no_rows_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([])
    assert capsys.readouterr().out == ""


def test_what_an_account_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([{"description": "a\x1b[2Jb\nc"}])
    assert capsys.readouterr().out.splitlines()[1] == r"a\x1b[2Jb\nc"
