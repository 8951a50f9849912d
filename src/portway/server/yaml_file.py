"""A YAML file of options, flat but for some sections, with the line and column of every value."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from portway.errors import ConfigError

SIZE_LIMIT: Final = 1 << 20
"""Bytes of a configuration file. More is a mistake."""
DEPTH: Final = 8
"""Levels of a section."""


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


class _Marks(Protocol):
    """Where the keys of a mapping stand, counted from 0."""

    def key(self, key: object) -> tuple[int, int]: ...


class _Mark(Protocol):
    line: int
    column: int


def read(path: Path, names: Collection[str], sections: Collection[str] = ()) -> YamlFile:
    """Read a file that may hold these names, and these sections. Raises ConfigError with file:line:column."""
    document, marks = _load(path)
    values: dict[str, tuple[str, str]] = {}
    nested: dict[str, list[Entry]] = {}
    for key, value in document.items():
        line, column = marks.key(key)
        place = f"{path}:{line + 1}:{column + 1}"
        if isinstance(key, str) and key in sections:
            nested[key] = list(_entries(path, value, (key,), place))
            continue
        if not isinstance(key, str) or key not in names:
            raise ConfigError(f"{place}: {key!r} is not an option{_nearest(str(key), names)}")
        text = _text(value)
        if text is None:
            raise ConfigError(f"{place}: {key} must be one value, not a list or a mapping")
        if text:
            values[key] = text, f"{place}: {key}"
    return YamlFile(values, nested)


def _entries(path: Path, value: object, names: tuple[str, ...], place: str) -> Iterator[Entry]:
    """Yield the values of a section. Raises ConfigError for lists, and for what is nested too deeply."""
    if isinstance(value, Mapping) and len(names) < DEPTH:
        marks = cast("_Marks", value.lc)  # type: ignore[attr-defined]
        for key, each in cast("Mapping[object, object]", value).items():
            line, column = marks.key(key)
            yield from _entries(path, each, (*names, str(key)), f"{path}:{line + 1}:{column + 1}")
        return
    text = _text(cast("object", value))
    if text is None:
        raise ConfigError(f"{place}: {'.'.join(names)} must be one value")
    if text:
        yield Entry(names[1:], text, place)


def _load(path: Path) -> tuple[Mapping[object, object], _Marks]:
    # Most services run without a file: they do not pay for the import.
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    text = _content(path)
    try:
        document = cast("object", YAML(typ="rt").load(text))  # pyright: ignore[reportUnknownMemberType]
    except MarkedYAMLError as error:
        mark = cast("_Mark | None", error.problem_mark or error.context_mark)  # pyright: ignore[reportUnknownMemberType]
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = cast("str | None", error.problem)  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError(f"{path}{where}: {problem or 'not YAML'}") from error
    except YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if document is None:
        document = CommentedMap()
    if not isinstance(document, CommentedMap):
        raise ConfigError(f"{path}:1:1: a mapping of options is wanted")
    marks = cast("_Marks", document.lc)  # pyright: ignore[reportUnknownMemberType]
    return cast("Mapping[object, object]", document), marks


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{path}: larger than {SIZE_LIMIT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error


def _text(value: object) -> str | None:
    """Return a scalar as it would stand on the command line, "" for null, None for no scalar."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, str | int | float) else None


def _nearest(key: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
