"""A configuration file as values that know where they stand.

What a file may cost is bounded before it costs: its size first, then nesting and the number of values
while YAML's events arrive one by one; an alias counts as all the values that it stands for. Scalars are read
as YAML 1.2's core schema says (``yes``, ``1:30`` and dates are text) and keep their spelling, so that
``authtoken: 123`` is the text that was written. Problems are collected, so that one look shows them all.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from portway.errors import ConfigError

SIZE_LIMIT: Final = 1 << 20
"""Bytes of a configuration file. More is a mistake."""
DEPTH_LIMIT: Final = 32
"""Levels that values may be nested."""
VALUE_LIMIT: Final = 50_000
"""Values of a file, aliases counted in full."""
SHOWN_PROBLEMS: Final = 20
"""Problems of one file that are told; the others are counted."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,40}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

Scalar = str | int | float | bool | None


@dataclass(slots=True, eq=False)
class Node:
    """One value of a file. ``kind`` is "map", "list" or "scalar"; line and column count from 1."""

    kind: str
    file: str
    line: int
    column: int
    path: str = ""
    text: str = ""
    """A scalar as it was written."""
    scalar: Scalar = None
    items: list["Node"] = field(default_factory=lambda: list[Node]())
    entries: dict[str, "Node"] = field(default_factory=lambda: dict[str, Node]())
    keys: dict[str, tuple[int, int]] = field(default_factory=lambda: dict[str, tuple[int, int]]())
    """Where each key of a map stands."""
    size: int = 1
    height: int = 1
    end: tuple[int, int] = (0, 0)
    """Where a scalar ends: line and column behind it, from 1."""
    flow: bool = False
    """Written on the line, in brackets or braces."""

    def __repr__(self) -> str:
        """Show the place; the value may be a secret."""
        return f"<{self.kind} {self.place}>"

    @property
    def place(self) -> str:
        """Return ``file:line:column path``."""
        return f"{self.file}:{self.line}:{self.column} {self.path}".rstrip()

    @property
    def is_null(self) -> bool:
        """Nothing is written here, or null."""
        return self.kind == "scalar" and self.scalar is None

    def json(self) -> str:
        """Return the value as JSON; numbers keep their spelling where JSON has it."""
        if self.kind == "list":
            return f"[{','.join(item.json() for item in self.items)}]"
        if self.kind == "map":
            pairs = (f"{json.dumps(key)}:{value.json()}" for key, value in self.entries.items())
            return f"{{{','.join(pairs)}}}"
        if isinstance(self.scalar, int | float) and _JSON_NUMBER.fullmatch(self.text):
            return self.text
        return json.dumps(self.scalar)


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
        self._lines.append(f"{node.file}:{line}:{column} {path}: there is no such key; {say}")

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
    if len(data) > SIZE_LIMIT:
        raise ConfigError(f"{path}: larger than {SIZE_LIMIT} bytes; is it a configuration file?")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save it as UTF-8 text") from error


def parse(text: str, file: str) -> Node:
    """Read the text of a file. Raises ConfigError."""
    from ruamel.yaml import YAML  # only who has a file pays for the import
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    events = cast("Iterator[Any]", YAML(typ="safe", pure=True).parse(text))  # pyright: ignore[reportUnknownMemberType]
    try:
        root = _Builder(file).build(events)
    except MarkedYAMLError as error:
        raise _syntax(error, file) from error
    except YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {str(error).splitlines()[0]}") from error
    except (ValueError, OverflowError) as error:  # an escape that stands for no character
        raise ConfigError(f"{file}: an escape that is no character: {error}") from error
    if root is None or root.is_null:
        root = Node("map", file, 1, 1)
    if root.kind != "map":
        raise ConfigError(f"{file}:{root.line}:{root.column}: a map of options is wanted, `version: 3` first")
    _name(root, "")
    return root


def _syntax(error: Any, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    problem = str(error.problem or "not YAML")
    if "'\\t'" in problem:
        problem = "a tab; YAML is indented with spaces only"
    return ConfigError(f"{where}: {problem}")


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not come."""

    node: Node
    anchor: str
    key: Node | None = None


class _Builder:
    """Nodes from events, under limits."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            match type(event).__name__:
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        raise self._wrong(event, "a file holds one document, not several")
                case "ScalarEvent":
                    self._put(self._scalar(event), str(event.anchor or ""))
                case "AliasEvent":
                    self._put(self._alias(event), "")
                case "SequenceStartEvent":
                    self._begin(event, "list")
                case "MappingStartEvent":
                    self._begin(event, "map")
                case "SequenceEndEvent" | "MappingEndEvent":
                    done = self._open.pop()
                    self._put(_measured(done.node), done.anchor)
                case _:
                    pass
        return self._root

    def _begin(self, event: Any, kind: str) -> None:
        self._tag(event)
        if len(self._open) >= DEPTH_LIMIT:
            raise self._wrong(event, f"nested deeper than {DEPTH_LIMIT} levels")
        node = self._node(event, kind)
        node.flow = bool(event.flow_style)
        self._open.append(_Open(node, str(event.anchor or "")))

    def _scalar(self, event: Any) -> Node:
        self._tag(event)
        text = str(event.value)
        plain = not event.style and bool(event.implicit[0])
        node = self._node(event, "scalar")
        node.text, node.scalar = text, _resolved(text) if plain else text
        node.end = event.end_mark.line + 1, event.end_mark.column + 1
        return node

    def _alias(self, event: Any) -> Node:
        known = self._anchors.get(str(event.anchor))
        if known is None:
            raise self._wrong(event, f"there is no anchor &{event.anchor} before this alias")
        if len(self._open) + known.height > DEPTH_LIMIT:
            raise self._wrong(event, f"nested deeper than {DEPTH_LIMIT} levels")
        self._count += known.size
        if self._count > VALUE_LIMIT:
            raise self._wrong(event, f"more than {VALUE_LIMIT} values, aliases counted in full")
        return _copy(known, event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, kind: str) -> Node:
        self._count += 1
        if self._count > VALUE_LIMIT:
            raise self._wrong(event, f"more than {VALUE_LIMIT} values")
        return Node(kind, self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _put(self, node: Node, anchor: str) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        top = self._open[-1]
        if top.node.kind == "list":
            top.node.items.append(node)
        elif top.key is None:
            self._key(top, node)
        else:
            top.node.entries[top.key.text] = node
            top.key = None

    def _key(self, top: _Open, node: Node) -> None:
        where = f"{self._file}:{node.line}:{node.column}"
        if node.kind != "scalar" or node.text == "<<":
            raise ConfigError(f"{where}: a key must be a plain word")
        if node.text in top.node.keys:
            first = top.node.keys[node.text][0]
            raise ConfigError(f"{where}: {node.text!r} is given twice, first on line {first}; remove one")
        top.node.keys[node.text] = node.line, node.column
        top.key = node

    def _tag(self, event: Any) -> None:
        if event.tag and str(event.tag) != "!":
            raise self._wrong(event, f"tags such as {event.tag} have no meaning here; quote the text")

    def _wrong(self, event: Any, what: str) -> ConfigError:
        mark = event.start_mark
        return ConfigError(f"{self._file}:{mark.line + 1}:{mark.column + 1}: {what}")


def _resolved(text: str) -> Scalar:
    """Read a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and len(text) < 40 else text


def _measured(node: Node) -> Node:
    below = node.items or list(node.entries.values())
    node.size = 1 + sum(child.size for child in below)
    node.height = 1 + max((child.height for child in below), default=0)
    return node


def _copy(node: Node, line: int, column: int) -> Node:
    """Copy what an alias stands for: the same value has another path there."""
    return Node(
        node.kind, node.file, line, column, "", node.text, node.scalar,
        [_copy(item, line, column) for item in node.items],
        {key: _copy(value, line, column) for key, value in node.entries.items()},
        dict.fromkeys(node.keys, (line, column)),
        node.size, node.height,
    )  # fmt: skip


def _name(node: Node, path: str) -> None:
    """Write each value's path into it."""
    node.path = path
    for index, item in enumerate(node.items):
        _name(item, f"{path}[{index}]")
    for key, value in node.entries.items():
        _name(value, f"{path}.{key}" if path else key)
