"""Policy documents: YAML or JSON text → nodes that know their line and column.

One YAML 1.2 reader serves both forms. What a document may cost is bounded before it costs: the text's
size first; then nesting and the number of values while events arrive one by one, so that a document of
brackets ends at its twenty-fifth; an alias counts as all the values that it stands for, so that a bomb
of aliases ends at the limit and is never blown up.

Scalars are read as YAML 1.2's core schema says: ``true`` and ``false`` are booleans, decimal digits are
numbers; ``yes``, ``on``, ``1:30`` and dates are text. Every scalar keeps its spelling, so that a number
where a text is wanted (``min_version: 1.30``) is the text that was written. Tags are refused: nearly
always one is an expression that begins with ``!`` and was not quoted.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.problem import PolicyError, Problem

UNPARSEABLE: Final = 2236

_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_LONGEST_NUMBER: Final = 40
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Scalar = str | int | float | bool | None


@dataclass(slots=True, eq=False)
class Node:
    """One value of a document. Exactly one of ``items``, ``entries`` and ``scalar`` counts, see ``kind``."""

    kind: str
    """``scalar``, ``list`` or ``map``."""
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
    """Values of this node and below it, aliases counted in full."""
    height: int = 1
    """Levels of this node and below it."""

    def __repr__(self) -> str:
        """Show the place and what is there."""
        return f"<{self.kind} {self.path or 'document'} at {self.line}:{self.column}>"

    @property
    def is_null(self) -> bool:
        """Nothing is written here, or null."""
        return self.kind == "scalar" and self.scalar is None

    def problem(self, code: int, message: str) -> Problem:
        """Make a problem that stands here."""
        return Problem(code, message, self.path, self.line, self.column)

    def plain(self) -> object:
        """Return the value as lists, dicts and scalars."""
        if self.kind == "list":
            return [item.plain() for item in self.items]
        if self.kind == "map":
            return {key: value.plain() for key, value in self.entries.items()}
        return self.scalar


def parse(text: str, limits: PolicyLimits = DEFAULT_LIMITS) -> Node:
    """Read a document; its root is a map. Raises PolicyError 2236 with one problem."""
    if len(text) > limits.document or len(text.encode("utf-8", "replace")) > limits.document:
        raise _failed(f"the document is larger than {limits.document} bytes")
    if found := _SURROGATE.search(text):
        raise _failed(f"the document is not Unicode at character {found.start()}")
    try:
        root = _Builder(limits).build(_events(_without_tabs(text)))
    except PolicyError:
        raise
    except _yaml_error() as error:
        raise _syntax(error, text) from error
    except (ValueError, OverflowError) as error:  # of escapes that stand for no character
        raise _failed(f"the document holds an escape that is no character: {error}") from error
    if root is None or root.kind != "map":
        at = (root.line, root.column) if root else (1, 1)
        raise _failed("a policy is a map whose keys are phases, such as on_http_request", *at)
    _name(root, "")
    return root


def _events(text: str) -> Iterator[Any]:
    # Only what has a policy pays for the import.
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
    """Nodes from events, under limits."""

    def __init__(self, limits: PolicyLimits) -> None:
        self._limits = limits
        self._count = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._pending: set[str] = set()
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            kind = type(event).__name__
            match kind:
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        raise _at(event, "a policy is one document, not several")
                case "ScalarEvent" | "AliasEvent":
                    self._put(self._leaf(event, kind), event)
                case "SequenceStartEvent" | "MappingStartEvent":
                    self._begin(event, "list" if kind.startswith("Seq") else "map")
                case "SequenceEndEvent" | "MappingEndEvent":
                    self._end(event)
                case _:
                    pass
        return self._root

    def _leaf(self, event: Any, kind: str) -> Node:
        line, column = _place(event)
        if kind == "AliasEvent":
            return self._alias(event, line, column)
        _refuse_tag(event)
        text = _joined(str(event.value))
        plain = not event.style and bool(event.implicit[0])
        node = Node("scalar", line, column, text=text, scalar=_resolve(text) if plain else text)
        self._remember(event, node)
        return node

    def _alias(self, event: Any, line: int, column: int) -> Node:
        name = str(event.anchor)
        if name in self._pending:
            raise _at(event, f"the alias *{name} stands inside what it names")
        if name not in self._anchors:
            raise _at(event, f"there is no anchor &{name} before the alias *{name}")
        known = self._anchors[name]
        if len(self._open) + known.height > self._limits.depth:
            raise _at(event, f"the document is nested deeper than {self._limits.depth} levels")
        self._add(event, known.size)
        return _copy(known, line, column)

    def _begin(self, event: Any, kind: str) -> None:
        _refuse_tag(event)
        if len(self._open) >= self._limits.depth:
            raise _at(event, f"the document is nested deeper than {self._limits.depth} levels")
        self._add(event, 1)
        node = Node(kind, *_place(event))
        if event.anchor:
            self._pending.add(str(event.anchor))
        self._open.append(_Open(node, event))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        node = done.node
        children = node.items if node.kind == "list" else list(node.entries.values())
        node.size = 1 + sum(child.size for child in children)
        node.height = 1 + max((child.height for child in children), default=0)
        self._pending.discard(str(done.event.anchor))
        self._remember(done.event, node)
        self._put(node, event)

    def _remember(self, event: Any, node: Node) -> None:
        if event.anchor:
            self._anchors[str(event.anchor)] = node

    def _put(self, node: Node, event: Any) -> None:
        if node.kind == "scalar":
            self._add(event, 1)
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if parent.node.kind == "list":
            parent.node.items.append(node)
        elif parent.key is None:
            parent.key = self._key(node)
            if parent.key in parent.node.entries:
                raise _failed(f"the key {parent.key!r} occurs twice", node.line, node.column)
            parent.node.keys[parent.key] = (node.line, node.column)
        else:
            parent.node.entries[parent.key] = node
            parent.key = None

    def _key(self, node: Node) -> str:
        if node.kind != "scalar":
            raise _failed("a key is a text, not a list or a map", node.line, node.column)
        return node.text

    def _add(self, event: Any, count: int) -> None:
        self._count += count
        if self._count > self._limits.nodes:
            raise _at(
                event, f"the document has more than {self._limits.nodes} values, aliases counted in full"
            )


@dataclass(slots=True)
class _Open:
    """A list or map that has begun."""

    node: Node
    event: Any
    key: str | None = None


def _copy(node: Node, line: int, column: int) -> Node:
    """Return what an alias stands for, at the place of the alias."""
    made = Node(
        node.kind, line, column, text=node.text, scalar=node.scalar, size=node.size, height=node.height
    )
    made.items = [_copy(item, item.line, item.column) for item in node.items]
    made.entries = {key: _copy(value, value.line, value.column) for key, value in node.entries.items()}
    made.keys = node.keys
    return made


def _name(node: Node, path: str) -> None:
    """Write into every node where in the document it is."""
    node.path = path
    for index, item in enumerate(node.items):
        _name(item, f"{path}[{index}]")
    for key, value in node.entries.items():
        shown = key if key.isprintable() and len(key) <= 80 else ascii(key[:80])
        _name(value, f"{path}.{shown}" if path else shown)


def _resolve(text: str) -> Scalar:
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


def _refuse_tag(event: Any) -> None:
    if event.tag is not None and str(event.tag) != "!":
        raise _at(event, f"{_shown(str(event.tag))} is a YAML tag here; {_QUOTE}")


_QUOTE: Final = "put an expression that begins with '!' into quotes"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")


def _place(event: Any) -> tuple[int, int]:
    mark = event.start_mark
    return int(mark.line) + 1, int(mark.column) + 1


def _at(event: Any, message: str) -> PolicyError:
    return _failed(message, *_place(event))


def _failed(message: str, line: int = 1, column: int = 1) -> PolicyError:
    return PolicyError([Problem(UNPARSEABLE, message, "", line, column)])


def _syntax(error: Any, text: str) -> PolicyError:
    """Say where YAML ended, and what is probably meant."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (int(mark.line) + 1, int(mark.column) + 1) if mark else (1, 1)
    message = " ".join(
        str(getattr(error, "problem", None) or "the document is neither YAML nor JSON").split()
    )
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if re.search(r"(?:^|[\s\[,])!\S", written):
        message += f"; {_QUOTE}"
    elif "${" in written:
        message += "; put a text that holds ${…} into quotes"
    return _failed(message[:300], line, column)
