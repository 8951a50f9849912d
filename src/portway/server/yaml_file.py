"""A flat YAML file of options, with the line and column of every value."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from portway.errors import ConfigError

SIZE_LIMIT: Final = 1 << 20
"""Bytes of a configuration file. More is a mistake."""


class YamlFile:
    """The values of one file, as texts."""

    def __init__(self, values: Mapping[str, tuple[str, str]]) -> None:
        """Take name → (text, place)."""
        self._values = values

    def find(self, name: str) -> tuple[str, str] | None:
        """Return the text of a value and its place, or None."""
        return self._values.get(name)


class _Marks(Protocol):
    """Where the keys of a mapping stand, counted from 0."""

    def key(self, key: object) -> tuple[int, int]: ...


class _Mark(Protocol):
    line: int
    column: int


def read(path: Path, names: Collection[str]) -> YamlFile:
    """Read a file that may hold these names. Raises ConfigError with file:line:column."""
    document, marks = _load(path)
    values: dict[str, tuple[str, str]] = {}
    for key, value in document.items():
        line, column = marks.key(key)
        place = f"{path}:{line + 1}:{column + 1}"
        if not isinstance(key, str) or key not in names:
            raise ConfigError(f"{place}: {key!r} is not an option{_nearest(str(key), names)}")
        text = _text(value)
        if text is None:
            raise ConfigError(f"{place}: {key} must be one value, not a list or a mapping")
        if text:
            values[key] = text, f"{place}: {key}"
    return YamlFile(values)


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
