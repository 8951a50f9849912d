"""A configuration file as values that know where they stand, and what is wrong with them.

Problems are collected, so that one look shows them all.
"""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Final

from portway.codec.document import Bounds, Node, decoded
from portway.codec.document import parse as parse_any
from portway.errors import ConfigError, DocumentError

SIZE_LIMIT: Final = 1 << 20
"""Bytes of a configuration file. More is a mistake."""
DEPTH_LIMIT: Final = 32
"""Levels that values may be nested."""
VALUE_LIMIT: Final = 50_000
"""Values of a file, aliases counted in full."""
SHOWN_PROBLEMS: Final = 20
"""Problems of one file that are told; the others are counted."""

_BOUNDS: Final = Bounds(SIZE_LIMIT, DEPTH_LIMIT, VALUE_LIMIT)


class Problems:
    """What is wrong with a file, one line a problem."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self._lines: list[str] = []

    def add(self, node: Node, what: str) -> None:
        """Note what is wrong here, and what to do."""
        self._lines.append(f"{node.place}: {what}")

    def unknown(self, node: Node, key: str, known: Collection[str], hint: str = "") -> None:
        """Note a key that does not exist, and the one that was perhaps meant."""
        line, column = node.keys[key]
        path = f"{node.path}.{key}" if node.path else key
        close = difflib.get_close_matches(key.replace("-", "_"), list(known), 1)
        say = hint or (f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}")
        self._lines.append(f"{node.source}:{line}:{column} {path}: there is no such key; {say}")

    def check(self) -> None:
        """Raise ConfigError when something is wrong."""
        if not self._lines:
            return
        shown, more = self._lines[:SHOWN_PROBLEMS], len(self._lines) - SHOWN_PROBLEMS
        raise ConfigError("\n".join([*shown, f"… and {more} more problems"] if more > 0 else shown))


def read(path: Path) -> Node:
    """Read a file; its root is a map. Raises ConfigError with file:line:column."""
    return parse(content(path), str(path))


def content(path: Path) -> str:
    """Return the text of a file. Raises ConfigError when it cannot be read, is too large or no UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return decoded(data, _BOUNDS)
    except DocumentError as error:
        raise _failed(error, str(path)) from error


def parse(text: str, file: str) -> Node:
    """Read the text of a file; nothing is an empty map. Raises ConfigError."""
    try:
        root = parse_any(text, _BOUNDS, file)
    except DocumentError as error:
        raise _failed(error, file) from error
    if root.is_null:
        return Node("map", 1, 1, source=file)
    if root.kind != "map":
        raise ConfigError(f"{root.place}: a map of options is wanted, `version: 3` first")
    _refuse_merges(root)
    return root


def _failed(error: DocumentError, file: str) -> ConfigError:
    return ConfigError(f"{file}:{error.line}:{error.column}: {error.message}")


def _refuse_merges(node: Node) -> None:
    """Refuse ``<<: *base``, which YAML 1.2 does not know: its values would quietly not be there."""
    if place := node.keys.get("<<"):
        raise ConfigError(
            f"{node.source}:{place[0]}:{place[1]}: `<<` merges nothing here; write the values out"
        )
    for below in (*node.items, *node.entries.values()):
        _refuse_merges(below)
