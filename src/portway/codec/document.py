"""YAML and JSON documents: text → nodes that know their line and column.

One YAML 1.2 reader serves both forms, and every document that people write for us: policies, the agent's
and the service's configuration. What a document may cost is bounded before it costs: the text's size
first; then nesting and the number of values while events arrive one by one, so that a document of brackets
ends at the first one that is too many; an alias counts as all the values that it stands for, so that a bomb
of aliases ends at the limit and is never blown up.

Scalars are read as YAML 1.2's core schema says: ``true`` and ``false`` are booleans, decimal digits are
numbers; ``yes``, ``on``, ``1:30`` and dates are text. Every scalar keeps its spelling, so that a number
where a text is wanted (``min_version: 1.30``) is the text that was written. Tags are refused: nearly
always one is a text that begins with ``!`` and was not quoted.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from portway.errors import DocumentError

_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_LONGEST_NUMBER: Final = 40
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Scalar = str | int | float | bool | None


class Bounds(msgspec.Struct, frozen=True):
    """What a document may cost."""

    size: int
    """Bytes of its text in UTF-8."""
    depth: int
    """Levels that values may be nested."""
    values: int
    """Values, those that aliases stand for counted as often as they are used."""


class Node(msgspec.Struct, eq=False):
    """One value of a document. Exactly one of ``items``, ``entries`` and ``scalar`` counts, see ``kind``."""

    kind: str
    """``scalar``, ``list`` or ``map``."""
    line: int
    column: int
    """Where it begins; both count from 1."""
    path: str = ""
    source: str = ""
    """What the document is called in places, such as the name of its file."""
    text: str = ""
    """A scalar as it was written."""
    scalar: Scalar = None
    items: list["Node"] = msgspec.field(default_factory=lambda: list[Node]())
    entries: dict[str, "Node"] = msgspec.field(default_factory=lambda: dict[str, Node]())
    keys: dict[str, tuple[int, int]] = msgspec.field(default_factory=lambda: dict[str, tuple[int, int]]())
    """Where each key of a map stands."""
    size: int = 1
    """Values of this node and below it, aliases counted in full."""
    height: int = 1
    """Levels of this node and below it."""
    end: tuple[int, int] = (0, 0)
    """Where a scalar, or what is written on the line, ends: line and column behind it.

    (0, 0) for other lists and maps, and for what stands here by an alias.
    """
    flow: bool = False
    """Written on the line, in brackets or braces."""

    def __repr__(self) -> str:
        """Show the place and what is there; the value may be a secret."""
        return f"<{self.kind} {self.place}>"

    @property
    def place(self) -> str:
        """Return ``source:line:column path``."""
        source = f"{self.source}:" if self.source else ""
        return f"{source}{self.line}:{self.column} {self.path}".rstrip()

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


def decoded(data: bytes, bounds: Bounds) -> str:
    """Return the text of a file, its byte order mark taken off. Raises DocumentError."""
    if len(data) > bounds.size:
        raise _too_large(bounds)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise DocumentError(f"not UTF-8 at byte {error.start}", line, column) from error


def parse(text: str, bounds: Bounds, source: str = "") -> Node:
    """Read a document; an empty one is null. Raises DocumentError with the place of its first mistake."""
    if len(text) > bounds.size or len(text.encode("utf-8", "replace")) > bounds.size:
        raise _too_large(bounds)
    if found := _SURROGATE.search(text):
        raise DocumentError(f"the document is not Unicode at character {found.start()}")
    try:
        root = _Builder(bounds, source).build(_events(_without_tabs(text)))
    except _yaml_error() as error:
        raise _syntax(error, text) from error
    except (ValueError, OverflowError) as error:
        raise DocumentError(f"the document holds an escape that is no character: {error}") from error
    _name(root, "")
    return root


def _events(text: str) -> Iterator[Any]:
    # Only what has a document pays for the import.
    from ruamel.yaml import YAML

    return cast("Iterator[Any]", YAML(typ="safe", pure=True).parse(text))  # pyright: ignore[reportUnknownMemberType]


def _yaml_error() -> type[Exception]:
    from ruamel.yaml.error import YAMLError

    return YAMLError


def _without_tabs(text: str) -> str:
    """Let JSON be indented with tabs, which YAML does not allow; columns stay what they are.

    A valid JSON text has tabs only between its tokens.
    """
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


class _Builder:
    """Nodes from events, within bounds."""

    def __init__(self, bounds: Bounds, source: str) -> None:
        self._bounds = bounds
        self._source = source
        self._count = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._pending: set[str] = set()
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node:
        documents = 0
        for event in events:
            match type(event).__name__:
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        raise _at(event, "one document is wanted, not several")
                case "ScalarEvent":
                    self._put(self._scalar(event))
                case "AliasEvent":
                    self._put(self._alias(event))
                case "SequenceStartEvent":
                    self._begin(event, "list")
                case "MappingStartEvent":
                    self._begin(event, "map")
                case "SequenceEndEvent" | "MappingEndEvent":
                    self._end(event)
                case _:
                    pass
        return self._root or Node("scalar", 1, 1, source=self._source)

    def _begin(self, event: Any, kind: str) -> None:
        if len(self._open) >= self._bounds.depth:
            raise self._too_deep(event)
        node = self._node(event, kind)
        node.flow = bool(event.flow_style)
        if event.anchor:
            self._pending.add(str(event.anchor))
        self._open.append(_Open(node, event))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        node = done.node
        if node.flow:
            node.end = _place(event.end_mark)
        children = node.items if node.kind == "list" else list(node.entries.values())
        node.size = 1 + sum(child.size for child in children)
        node.height = 1 + max((child.height for child in children), default=0)
        self._pending.discard(str(done.event.anchor))
        self._remember(done.event, node)
        self._put(node)

    def _scalar(self, event: Any) -> Node:
        node = self._node(event, "scalar")
        text = _joined(str(event.value))
        plain = not event.style and bool(event.implicit[0])
        node.text, node.scalar = text, _resolved(text) if plain else text
        node.end = _place(event.end_mark)
        self._remember(event, node)
        return node

    def _remember(self, event: Any, node: Node) -> None:
        if event.anchor:
            self._anchors[str(event.anchor)] = node

    def _alias(self, event: Any) -> Node:
        name = str(event.anchor)
        if name in self._pending:
            raise _at(event, f"the alias *{name} stands inside what it names")
        known = self._anchors.get(name)
        if known is None:
            raise _at(event, f"there is no anchor &{name} before the alias *{name}")
        if len(self._open) + known.height > self._bounds.depth:
            raise self._too_deep(event)
        self._add(event, known.size)
        return _copy(known, *_place(event.start_mark))

    def _node(self, event: Any, kind: str) -> Node:
        if event.tag:  # also "!" alone, which YAML drops: "! guarded" would become "guarded"
            raise _at(event, f"{_shown(str(event.tag))} is a YAML tag here; {_QUOTE}")
        self._add(event, 1)
        return Node(kind, *_place(event.start_mark), source=self._source)

    def _put(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if parent.node.kind == "list":
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = _key(node, parent.node)
        else:
            parent.node.entries[parent.key] = node
            parent.key = None

    def _add(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > self._bounds.values:
            raise _at(
                event, f"the document has more than {self._bounds.values} values, aliases counted in full"
            )

    def _too_deep(self, event: Any) -> DocumentError:
        return _at(event, f"the document is nested deeper than {self._bounds.depth} levels")


class _Open(msgspec.Struct):
    """A list or map that has begun."""

    node: Node
    event: Any
    key: str | None = None


def _key(node: Node, parent: Node) -> str:
    """Note a key in its map and return it."""
    if node.kind != "scalar":
        raise DocumentError("a key is a text, not a list or a map", node.line, node.column)
    if first := parent.keys.get(node.text):
        said = f"the key {node.text!r} occurs twice, first on line {first[0]}; remove one"
        raise DocumentError(said, node.line, node.column)
    parent.keys[node.text] = node.line, node.column
    return node.text


def _copy(node: Node, line: int, column: int) -> Node:
    """Return what an alias stands for, at the place of the alias; what is below it stands where it stands."""
    return Node(
        node.kind, line, column, "", node.source, node.text, node.scalar,
        [_copy(item, item.line, item.column) for item in node.items],
        {key: _copy(value, value.line, value.column) for key, value in node.entries.items()},
        node.keys, node.size, node.height,
    )  # fmt: skip


def _name(node: Node, path: str) -> None:
    """Write into every node where in the document it is."""
    node.path = path
    for index, item in enumerate(node.items):
        _name(item, f"{path}[{index}]")
    for key, value in node.entries.items():
        shown = key if key.isprintable() and len(key) <= 80 else ascii(key[:80])
        _name(value, f"{path}.{shown}" if path else shown)


def _resolved(text: str) -> Scalar:
    """Return what an unquoted scalar is."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 10) if text[:2] not in {"0o", "0x"} else int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def _joined(text: str) -> str:
    r"""Join the pairs of ``\ud83d\ude00``, which are one character in JSON. A lone half raises ValueError."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


_QUOTE: Final = "put a text that begins with '!' into quotes"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _place(mark: Any) -> tuple[int, int]:
    return int(mark.line) + 1, int(mark.column) + 1


def _at(event: Any, message: str) -> DocumentError:
    return DocumentError(message, *_place(event.start_mark))


def _too_large(bounds: Bounds) -> DocumentError:
    return DocumentError(f"the document is larger than {bounds.size} bytes")


def _syntax(error: Any, text: str) -> DocumentError:
    """Say where YAML ended, and what is probably meant."""
    if (at := getattr(error, "position", None)) is not None:  # a character that no YAML may hold
        before = text[:at]
        where = before.count("\n") + 1, at - before.rfind("\n")
        return DocumentError(f"the document holds the control character U+{error.character:04X}", *where)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = " ".join(str(getattr(error, "problem", None) or "neither YAML nor JSON").split())
    line, column = _place(mark) if mark else (1, 1)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "'\\t'" in problem:
        problem = "a tab cannot start any token; YAML is indented with spaces only"
    elif re.search(r"(?:^|[\s\[,])!\S", written):
        problem += f"; {_QUOTE}"
    elif "${" in written:
        problem += "; put a text that holds ${…} into quotes"
    return DocumentError(problem[:300], line, column)
