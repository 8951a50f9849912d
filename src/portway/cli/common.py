"""Flags of the whole program: they may stand before the command, and mean the same behind it.

``portway --config a.yml start web`` is ``portway start web --config a.yml``. A command that has no use for
one of them leaves it alone, so that one alias or script serves all commands. ``portway help COMMAND`` is
``portway COMMAND --help``.
"""

from collections.abc import Sequence
from typing import Final

import click

FLAGS: Final = ("--config", "--log", "--log-format", "--log-level")
"""Flags of every command; each has a value."""

OWN: Final = ("--metadata",)
"""Flags before the command that are the program's own: behind it they would be the endpoint's."""


def spread(group: click.Group, context: click.Context, arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the program's flags behind the command that has them, or without."""
    own, given, rest = _leading(arguments)
    if rest and rest[0] == "help":
        return [*rest[1:], "--help"]
    node: click.Command = group
    path: list[str] = []
    while isinstance(node, click.Group) and rest and not rest[0].startswith("-"):
        below = node.get_command(context, rest[0])
        if below is None:
            return [*own, *path, *rest]  # the group says which commands there are
        node, path = below, [*path, rest[0]]
        _, more, rest = _leading(rest[1:], own=())
        given += more
    known = {name for option in node.params for name in option.opts}
    kept = [word for pair in given if pair[0].partition("=")[0] in known for word in pair]
    return [*own, *path, *kept, *_without(rest, [name for name in FLAGS if name not in known])]


def _leading(
    arguments: Sequence[str], own: Sequence[str] = OWN
) -> tuple[list[str], list[list[str]], list[str]]:
    """Cut off the program's flags: its own, the others each with its value, and what is behind them."""
    mine: list[str] = []
    given: list[list[str]] = []
    rest = list(arguments)
    while rest and (name := rest[0].partition("=")[0]) in (*FLAGS, *own):
        width = 1 if "=" in rest[0] else 2
        if name in own:
            mine += rest[:width]
        else:
            given.append(rest[:width])
        rest = rest[width:]
    return mine, given, rest


def _without(arguments: list[str], names: Sequence[str]) -> list[str]:
    """Leave flags out, with their values; what is behind ``--`` stays."""
    kept: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--":
        if rest[0].partition("=")[0] in names:
            rest = rest[1 if "=" in rest[0] else 2 :]
        else:
            kept.append(rest.pop(0))
    return [*kept, *rest]
