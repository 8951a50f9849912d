"""The configuration of an action, read field by field.

A reader returns the value, or records what is wrong with it and returns something neutral of the same type:
so one pass over a document finds everything. Numbers are taken where a text is wanted, as they were
written, and quoted numbers and booleans where those are wanted. Null is an absent field.

``end`` refuses what nobody has read; the compiler calls it after ``parse``.
"""

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from portway.codec.document import Node
from portway.policy.duration import parse_duration, write_duration
from portway.policy.problem import meant

if TYPE_CHECKING:
    from portway.policy.compiler import Compiler
    from portway.policy.expression import Expression
    from portway.policy.interpolation import Template

T = TypeVar("T")

HEADER_NAME_LIMIT: Final = 256
"""Characters of the name of a field that an action adds or removes."""
HEADER_VALUE_LIMIT: Final = 8192
"""Characters of its value, as it stands in the document."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,30}", re.ASCII)
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Fields:
    """The fields of one map of a configuration."""

    def __init__(self, node: Node, compiler: "Compiler", path: str = "") -> None:
        """Take the map; null stands for one without fields, anything else is a problem."""
        self.node = node
        self.path = path or node.path
        self._compiler = compiler
        self._read: set[str] = set()
        self._entries = node.entries
        if node.kind != "map" and not node.is_null:
            compiler.problem(2203, node, "a map of fields is wanted here")

    # -- what is there

    def find(self, name: str, *aliases: str) -> Node | None:
        """Return the value of a field, or None when it is absent or null; it counts as read."""
        self._read.update((name, *aliases))
        found = [self._entries[each] for each in (name, *aliases) if each in self._entries]
        if len(found) > 1:
            self.problem(2203, f"{name} and its other name {aliases[0]} are both given", found[1])
        return found[0] if found and not found[0].is_null else None

    def require(self, name: str, *aliases: str) -> Node | None:
        """Return the value of a field that must be there; record 2234 if it is not."""
        node = self.find(name, *aliases)
        if node is None:
            self.problem(2234, f"the field {name!r} is required")
        return node

    def problem(self, code: int, message: str, node: Node | None = None) -> None:
        """Record a problem, at ``node`` or at the map itself."""
        self._compiler.problem(code, node or self.node, message, path="" if node else self.path)

    def end(self) -> None:
        """Record 2203 for every field that nobody has read."""
        for key, (line, column) in self.node.keys.items():
            if key not in self._read and self.node.kind == "map":
                hint = meant(key, self._read - self.node.keys.keys())
                said = f"there is no field {key!r} here{hint}"
                self._compiler.problem_at(2203, line, column, self.path, said)

    # -- scalars

    def string(
        self, name: str, default: str | None = None, *aliases: str, least: int = 0, most: int = 8192
    ) -> str:
        """Return a text. ``default`` None: the field is required. 2223, 2237 or 2221 for its length."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return default or ""
        return self.text_of(node, name, least=least, most=most)

    def text_of(self, node: Node, name: str, *, least: int = 0, most: int = 8192) -> str:
        """Return the text of a node, as it was written; record what is wrong with it."""
        if node.kind != "scalar":
            self.problem(2228, f"{name} is a text, not a {node.kind}", node)
            return ""
        text = node.text
        if least and not text:
            self.problem(2223, f"{name} may not be empty", node)
        elif len(text) < least:
            self.problem(2237, f"{name} is shorter than {least} characters", node)
        elif len(text) > most:
            self.problem(2221, f"{name} is longer than {most} characters", node)
        return text

    def integer(self, name: str, default: int | None = None, *aliases: str, low: int, high: int) -> int:
        """Return a whole number between ``low`` and ``high``. 2215 outside of them."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return default if default is not None else low
        value = node.scalar
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            self.problem(2228, f"{name} is a whole number", node)
            return low
        return self._within(name, value, low, high, node)

    def number(
        self, name: str, default: float | None = None, *aliases: str, low: float, high: float
    ) -> float:
        """Return a number between ``low`` and ``high``. 2215 outside of them."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return default if default is not None else low
        value = node.scalar
        if isinstance(value, str):
            try:
                value = float(value) if len(value) < 40 else value
            except ValueError:
                pass  # said below
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.problem(2228, f"{name} is a number", node)
            return low
        return self._within(name, float(value) if abs(value) < 1e300 else high + 1, low, high, node)

    def boolean(self, name: str, default: bool) -> bool:
        """Return true or false; both may be quoted."""
        node = self.find(name)
        if node is None:
            return default
        value = node.scalar
        if isinstance(value, str) and value in {"true", "false"}:
            return value == "true"
        if not isinstance(value, bool):
            self.problem(2228, f"{name} is true or false", node)
            return default
        return value

    def duration(
        self, name: str, default: float | None = None, *aliases: str, low: float, high: float
    ) -> float:
        """Return seconds of a text such as ``90s`` or ``1h30m``. 2237 below ``low``, 2225 above ``high``."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return default if default is not None else low
        seconds = parse_duration(node.text) if node.kind == "scalar" else None
        if seconds is None:
            self.problem(2228, f"{name} is a duration such as 90s or 1h30m", node)
            return low
        if seconds < low:
            self.problem(2237, f"{name} is shorter than {write_duration(low)}", node)
        elif seconds > high:
            self.problem(2225, f"{name} is longer than {write_duration(high)}", node)
        return min(max(seconds, low), high)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None, *aliases: str) -> str:
        """Return one of the allowed texts. 2222 for another one."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return default or allowed[0]
        return self.choice_of(node, name, allowed)

    def choice_of(self, node: Node, name: str, allowed: Sequence[str], code: int = 2222) -> str:
        """Return the text of a node if it is allowed; record ``code`` if not."""
        if node.kind != "scalar" or node.text not in allowed:
            self.problem(code, f"{name} is one of {', '.join(allowed)}", node)
            return allowed[0]
        return node.text

    def _within(self, name: str, value: T, low: T, high: T, node: Node) -> T:
        if not low <= value <= high:  # type: ignore[operator]
            self.problem(2215, f"{name} is between {low} and {high}", node)
            return low
        return value

    # -- lists and maps

    def items(
        self, name: str, *aliases: str, least: int = 0, most: int = 1_000_000, code: int = 2218
    ) -> list[Node]:
        """Return the values of a list. Below ``least`` 2234 (absent) or 2223, above ``most`` ``code``."""
        node = self.require(name, *aliases) if least else self.find(name, *aliases)
        if node is None:
            return []
        if node.kind != "list":
            self.problem(2228, f"{name} is a list", node)
            return []
        if len(node.items) < least:
            self.problem(
                2223,
                f"{name} needs at least {least} entries" if least > 1 else f"{name} may not be empty",
                node,
            )
        if len(node.items) > most:
            self.problem(code, f"{name} has {len(node.items)} entries; {most} are allowed", node)
            return node.items[:most]
        return node.items

    def strings(self, name: str, *aliases: str, least: int = 0, most: int = 1_000_000) -> list[str]:
        """Return a list of texts."""
        return [self.text_of(item, name) for item in self.items(name, *aliases, least=least, most=most)]

    def choices(
        self, name: str, allowed: Sequence[str], default: Sequence[str], code: int = 2222
    ) -> tuple[str, ...]:
        """Return a list of allowed texts without repetition (2231); absent means ``default``."""
        nodes = self.items(name)
        if not nodes:
            return tuple(default)
        found = [self.choice_of(node, name, allowed, code) for node in nodes]
        for index, node in enumerate(nodes):
            if node.text in allowed and found[index] in found[:index]:
                self.problem(2231, f"{found[index]} occurs twice in {name}", node)
        return tuple(dict.fromkeys(found))

    def entries(
        self, name: str, *aliases: str, least: int = 0, most: int = 1_000_000, code: int = 2218
    ) -> list[tuple[str, Node]]:
        """Return the entries of a map, in order."""
        node = self.require(name, *aliases) if least else self.find(name, *aliases)
        if node is None:
            return []
        if node.kind != "map":
            self.problem(2228, f"{name} is a map", node)
            return []
        if len(node.entries) < least:
            self.problem(2223, f"{name} may not be empty", node)
        if len(node.entries) > most:
            self.problem(code, f"{name} has {len(node.entries)} entries; {most} are allowed", node)
        return list(node.entries.items())[:most]

    def sub(self, node: Node) -> "Fields":
        """Return the fields of a map below; call its ``end`` when all of them are read."""
        return Fields(node, self._compiler)

    # -- what is computed at run time

    def template(
        self, name: str, default: str | None = None, *aliases: str, least: int = 0, most: int = 65_536
    ) -> "Template":
        """Return a text with ``${…}`` in it, compiled. ``default`` None: the field is required."""
        node = self.find(name, *aliases) if default is not None else self.require(name, *aliases)
        if node is None:
            return self._compiler.constant(default or "")
        self.text_of(node, name, least=least, most=most)
        return self._compiler.template(node)

    def headers(
        self, name: str, *, least: int = 0, most: int, forbidden: Collection[str] = ()
    ) -> list[tuple[str, "Template"]]:
        """Return names (in lower case) and values of fields of HTTP. 2208–2213 for what is wrong."""
        found: list[tuple[str, Template]] = []
        for key, node in self.entries(name, least=least, most=most, code=2212):
            lower = self.header_name(key, forbidden, self._complainer(self.node.entries[name], key))
            value = self.text_of(node, f"the value of {key!r}", most=10 * HEADER_VALUE_LIMIT)
            template = self._compiler.template(node, code=2213)
            self._check_value(node, key, value, template)
            found.append((lower, template))
        return found

    def header_names(self, name: str, *, least: int, most: int, forbidden: Collection[str] = ()) -> list[str]:
        """Return a list of names of fields of HTTP, in lower case. 2208–2212 for what is wrong."""
        nodes = self.items(name, least=least, most=most, code=2212)
        names: list[str] = []
        for node in nodes:
            text = self.text_of(node, name)
            names.append(self.header_name(text, forbidden, partial(self._complain, node)))
        return names

    def _complain(self, node: Node, code: int, message: str) -> None:
        self.problem(code, message, node)

    def _complainer(self, table: Node, key: str) -> Callable[[int, str], None]:
        """Return what records problems at a key of a map."""
        line, column = table.keys.get(key, (table.line, table.column))
        return lambda code, message: self._compiler.problem_at(code, line, column, table.path, message)

    @staticmethod
    def header_name(name: str, forbidden: Collection[str], complain: Callable[[int, str], None]) -> str:
        """Return the name in lower case; say what is wrong with it."""
        lower = name.lower()
        if len(name) > HEADER_NAME_LIMIT:
            complain(2208, f"the name is longer than {HEADER_NAME_LIMIT} characters")
        elif not _TOKEN.fullmatch(name):
            complain(2210, f"{name!r} is no name of a header field")
        elif lower == "host" and lower in forbidden:
            complain(2210, "host cannot be removed; add-headers replaces it")
        elif lower in forbidden:
            complain(2210, f"{lower} may not be changed by a policy")
        return lower

    def _check_value(self, node: Node, key: str, value: str, template: "Template") -> None:
        if len(value) > HEADER_VALUE_LIMIT:
            self.problem(2209, f"the value of {key!r} is longer than {HEADER_VALUE_LIMIT} characters", node)
        elif _UNSAFE.search(value) and template.is_constant:
            self.problem(2211, f"the value of {key!r} holds a line break or a control character", node)

    def expressions(self, name: str, *, least: int = 0, most: int, code: int = 2218) -> list["Expression"]:
        """Return a list of raw expressions, compiled."""
        nodes = self.items(name, least=least, most=most, code=code)
        compiled = [self._compiler.expression(node) for node in nodes]
        return [each for each in compiled if each is not None]
