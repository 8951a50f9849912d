"""Maps in braces → maps on lines of their own, with the same values and every comment.

What `upgrade` moves about are lines. So the file's own map, ``tunnels`` and each tunnel are written on lines
before it begins; what is in braces further down stays as it is. What comes out is read again and compared:
where it would mean something else (an anchor that is lost), its writer has to do it.
"""

from collections.abc import Iterable
from typing import Final

from portway.agent.config.document import parse
from portway.agent.config.edit import written
from portway.codec.document import Node
from portway.errors import ConfigError

_STEP: Final = 2
"""Columns that one level is indented."""

Edit = tuple[tuple[int, int], tuple[int, int], str]
"""From where (line and column, from 1) to where, and what is written there instead."""


def unfolded(text: str, file: str) -> str:
    """Return the text of a file without braces around what is upgraded. Raises ConfigError."""
    root = parse(text, file)
    lines = text.splitlines(keepends=True)
    if root.flow:
        edits = [((root.line, root.column), root.end, "\n".join(_rendered(lines, root, 0, deep=2)))]
    else:
        edits = _folded(lines, root)
    if not edits:
        return text
    changed = spliced(text, edits)
    if parse(changed, file).json() != root.json():
        raise ConfigError(f"{file}: write what is in braces on lines of its own, then upgrade")
    return changed


def spliced(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with several places written anew, none of which overlap."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for (line, column), (last, behind), what in sorted(edits, reverse=True):
        text = text[: starts[line - 1] + column - 1] + what + text[starts[last - 1] + behind - 1 :]
    return text


def _folded(lines: list[str], root: Node) -> list[Edit]:
    """Return the edits that take ``tunnels``, or single tunnels, out of their braces."""
    tunnels = root.entries.get("tunnels")
    if tunnels is None or tunnels.kind != "map" or not tunnels.entries:
        return []
    if tunnels.flow:
        return [_unfolding(lines, tunnels, root.keys["tunnels"][1] - 1 + _STEP, deep=1)]
    return [
        _unfolding(lines, node, tunnels.keys[name][1] - 1 + _STEP, deep=0)
        for name, node in tunnels.entries.items()
        if node.flow and node.entries
    ]


def _unfolding(lines: list[str], node: Node, indent: int, *, deep: int) -> Edit:
    """Return the edit that writes a map below its key. A comment behind the brace goes behind the key."""
    last, behind = node.end
    behind_it = lines[last - 1][behind - 1 :].rstrip("\n")
    tail = f"  {behind_it.strip()}" if behind_it.strip() else ""
    made = "\n".join([tail, *_rendered(lines, node, indent, deep=deep)])
    begin = len(lines[node.line - 1][: node.column - 1].rstrip()) + 1
    return (node.line, begin), (last, behind + len(behind_it)), made


def _rendered(lines: list[str], node: Node, indent: int, *, deep: int) -> list[str]:
    """Write a map on lines; ``deep``: how many levels below it, along ``tunnels``, are written so, too."""
    made: list[str] = []
    at = node.line, node.column + 1
    pad = " " * indent
    for key, value in node.entries.items():
        _keep_comments(_cut(lines, at, node.keys[key]), made, pad)
        if deep and value.flow and value.entries and (deep == 1 or key == "tunnels"):
            made.append(f"{pad}{written(key)}:")
            made += _rendered(lines, value, indent + _STEP, deep=deep - 1)
        else:
            said = _cut(lines, (value.line, value.column), value.end) if value.end[0] else ""
            behind = f"\n{pad}{' ' * _STEP}"
            made.append(f"{pad}{written(key)}: {behind.join(map(str.strip, said.splitlines()))}".rstrip())
        at = value.end if value.end[0] else node.keys[key]
    _keep_comments(_cut(lines, at, (node.end[0], node.end[1] - 1)), made, pad)
    return made


def _keep_comments(between: str, made: list[str], pad: str) -> None:
    """Write the comments between two entries: behind the first one, where they stand there, or below it."""
    for number, line in enumerate(between.splitlines()):
        _, mark, comment = line.partition("#")
        if mark and not number and made:
            made[-1] += f"  #{comment}"
        elif mark:
            made.append(f"{pad}#{comment}")


def _cut(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return the text from one place to another."""
    (first, column), (last, behind) = start, end
    if first == last:
        return lines[first - 1][column - 1 : behind - 1]
    middle = "".join(lines[first : last - 1])
    return f"{lines[first - 1][column - 1 :]}{middle}{lines[last - 1][: behind - 1]}"
