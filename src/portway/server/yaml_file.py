"""The service's YAML file: options, flat but for some sections, as texts that know where they stand."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from portway.codec.document import Bounds, Node, decoded, parse
from portway.errors import ConfigError, DocumentError

SIZE_LIMIT: Final = 1 << 20
"""Bytes of a configuration file. More is a mistake."""
DEPTH_LIMIT: Final = 8
"""Levels that values may be nested, the file's own one counted."""
VALUE_LIMIT: Final = 50_000
"""Values of a file, aliases counted in full."""

_BOUNDS: Final = Bounds(SIZE_LIMIT, DEPTH_LIMIT, VALUE_LIMIT)


class YamlFile:
    """The values of one file, as texts."""

    def __init__(
        self, values: Mapping[str, tuple[str, str]], sections: "Mapping[str, list[Entry]] | None" = None
    ) -> None:
        """Take name → (text, place), and what the sections hold."""
        self._values = values
        self._sections = sections or {}

    def find(self, name: str) -> tuple[str, str] | None:
        """Return the text of a value and its place, or None."""
        return self._values.get(name)

    def section(self, name: str) -> "list[Entry]":
        """Return every value below a section, in order."""
        return self._sections.get(name, [])


class Entry(NamedTuple):
    """A value in a section: the names that lead to it, its text, and where it stands."""

    path: tuple[str, ...]
    text: str
    place: str


def read(path: Path, names: Collection[str], sections: Collection[str] = ()) -> YamlFile:
    """Read a file that may hold these names, and these sections. Raises ConfigError with file:line:column."""
    values: dict[str, tuple[str, str]] = {}
    nested: dict[str, list[Entry]] = {}
    for key, place, node in _children(_load(path)):
        if key in sections:
            nested[key] = list(_entries(node, (key,), place))
            continue
        if key not in names:
            raise ConfigError(f"{place}: {key!r} is not an option{_nearest(key, names)}")
        if node.kind != "scalar":
            raise ConfigError(f"{place}: {key} must be one value, not a list or a mapping")
        if text := _text(node):
            values[key] = text, f"{place}: {key}"
    return YamlFile(values, nested)


def _children(node: Node) -> Iterator[tuple[str, str, Node]]:
    """Yield every key of a map, where it stands, and its value."""
    for key, value in node.entries.items():
        line, column = node.keys[key]
        yield key, f"{node.source}:{line}:{column}", value


def _entries(node: Node, names: tuple[str, ...], place: str) -> Iterator[Entry]:
    """Yield the values of a section. Raises ConfigError for lists."""
    if node.kind == "list":
        raise ConfigError(f"{place}: {'.'.join(names)} must be one value")
    for key, where, value in _children(node):
        yield from _entries(value, (*names, key), where)
    if text := _text(node):
        yield Entry(names[1:], text, place)


def _load(path: Path) -> Node:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
        root = parse(decoded(data, _BOUNDS), _BOUNDS, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigError(f"{path}:{error.line}:{error.column}: {error.message}") from error
    if root.kind != "map" and not root.is_null:
        raise ConfigError(f"{root.place}: a mapping of options is wanted")
    return root


def _text(node: Node) -> str:
    """Return a scalar as it would stand on the command line, "" for null and for what is no scalar."""
    if isinstance(node.scalar, bool):
        return "on" if node.scalar else "off"
    return "" if node.scalar is None else node.text


def _nearest(key: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
