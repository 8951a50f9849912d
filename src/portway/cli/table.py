"""Rows as a table for a person."""

from collections.abc import Mapping, Sequence

import click

from portway.cli.output import printable


def show_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print columns as wide as they need to be; the first row names them. Nothing for no rows."""
    if not rows:
        return
    cells = [[_cell(value) for value in row.values()] for row in rows]
    heads = [name.upper().replace("_", " ") for name in rows[0]]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for number, line in enumerate([heads, *cells]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def _cell(value: object) -> str:
    if value is True or value is False:
        return "yes" if value else "no"
    return printable(str(value)) if value not in (None, "") else "–"
