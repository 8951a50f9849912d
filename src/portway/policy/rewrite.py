"""Expressions as people write them → expressions as the evaluator takes them, and what they name.

The evaluator is standard CEL with dotted variables. What differs is rewritten in the text, on the tree of
:mod:`portway.policy.syntax`:

=========================================  =====================================================
``req.headers['X']``, ``….cookies['x']``   a call that ignores case, and answers [] for what is not there
``k in req.headers``                       likewise
``has(req.url.port)``                      a call: variables have no parts that CEL could test
``has(m['k'])``                            ``('k' in m)``
``has(vars.a.b)``                          ``(has(vars.a) && has(vars.a.b))``: no error on the way
``l.sortBy(x, key)``                       a call over ``l`` and ``l.map(x, key)``
``string(x)``                              ``string(portway_text(x))``: bytes become texts without a NUL
``getResCookie('a').expires``              ``timestamp(…)`` of it: maps hold no times
``s.matches(re)``                          a call that counts what it costs
``req.Method``                             ``req.method``, and what else had Go's spelling
=========================================  =====================================================

Names that stand for nothing are refused here, with the nearest that do. Every piece of the new text knows
the position that it came from, so that errors of the evaluator point at what was written.
"""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from portway.policy.functions import functions
from portway.policy.names import HEADER_MAPS, LENIENT_MAPS, ROOTS, Name, names_of
from portway.policy.phase import Phase
from portway.policy.regex import RegexError, compile_regex
from portway.policy.syntax import Syntax, SyntaxFault

MACROS: Final = {"all", "exists", "exists_one", "filter", "map", "sortBy"}

GO_NAMES: Final = {
    "req.Method": "req.method", "req.Headers": "req.headers", "req.Host": "req.host", "req.URL": "req.url",
    "req.ContentLength": "req.content_length", "res.StatusCode": "res.status_code",
    "res.Headers": "res.headers", "res.ContentLength": "res.content_length",
}  # fmt: skip
"""The spelling of before October 2024."""

STANDARD: Final = {
    "size", "matches", "startsWith", "endsWith", "contains", "string", "int", "uint", "double", "bool",
    "bytes", "timestamp", "duration", "type", "dyn", "getFullYear", "getMonth", "getDate", "getDayOfMonth",
    "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
}  # fmt: skip
"""Functions and methods of CEL itself."""

TYPES: Final = {
    "bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint",
}  # fmt: skip
"""Names of types, as of ``type(x) == int``."""

_TIMES: Final = {"expires": "timestamp", "max_age": "duration"}
"""Fields of cookies that a response sets → the function that reads their texts."""

_MEANT: Final = {
    "includes": "contains", "starts_with": "startsWith", "ends_with": "endsWith", "length": "size",
    "len": "size", "toLowerCase": "lower", "toUpperCase": "upper", "existsOne": "exists_one",
}  # fmt: skip


@dataclass(slots=True)
class Rewritten:
    """The text for the evaluator, and what was found on the way."""

    chunks: list[tuple[str, int]] = field(default_factory=lambda: list[tuple[str, int]]())
    names: set[str] = field(default_factory=lambda: set[str]())
    """Variables that must have a value before the evaluation."""
    looked_up: set[str] = field(default_factory=lambda: set[str]())
    """Variables that calls look at: no value is needed, but the phase must have them."""

    calls: bool = False
    """It calls functions of ours, which must know what is looked at."""
    loops: bool = False
    """Something in it may happen many times."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(text for text, _ in self.chunks)

    def origin(self, offset: int) -> int:
        """Return the position in the source of a position in the text."""
        for text, start in self.chunks:
            if offset < len(text):
                return start + offset
            offset -= len(text)
        return self.chunks[-1][1] + len(self.chunks[-1][0]) if self.chunks else 0


def rewrite(source: str, tree: Syntax, phase: Phase) -> Rewritten:
    """Rewrite a whole expression. Raises SyntaxFault for names that stand for nothing."""
    rewriter = _Rewriter(source, phase)
    rewriter.write(tree)
    return rewriter.made


class _Rewriter:
    def __init__(self, source: str, phase: Phase) -> None:
        self.made = Rewritten()
        self._source = source
        self._phase = phase
        self._names = names_of(phase)
        self._bound: list[str] = []
        self._cookies = "res.cookies" in source or "getResCookie" in source

    def write(self, node: Syntax) -> None:
        """Write a node: rewritten if a rule says so, else its own text around its children."""
        match node.kind:
            case "name" | "select":
                self._path(node)
            case "index":
                self._index(node)
            case "chain":
                self._chain(node)
            case "call":
                self._call(node)
            case "method":
                self._method(node)
            case _:
                self._around(node)

    # -- text

    def _say(self, text: str, at: int) -> None:
        self.made.calls = self.made.calls or text.startswith(("portway_", "string(portway_"))
        self.made.chunks.append((text, at))

    def _around(self, node: Syntax, children: Sequence[Syntax] | None = None) -> None:
        """Write the children, and between them what stands in the source."""
        at = node.start
        for child in node.children if children is None else children:
            self._say(self._source[at : child.start], at)
            self.write(child)
            at = child.end
        self._say(self._source[at : node.end], at)

    # -- variables

    def _variable(self, node: Syntax) -> str | None:
        """Return the declared variable that a dotted path is exactly, if it is one."""
        words = node.dotted()
        if not words or words[0] in self._bound:
            return None
        name = ".".join(words)
        name = GO_NAMES.get(name, name)
        return name if name in self._names else None

    def _path(self, node: Syntax) -> None:
        name = self._variable(node)
        if name is not None:
            self._need(name, node)
            self.made.names.add(name)
            self._say(name, node.start)
            return
        words = node.dotted()
        if words[0:1] and words[0] in TYPES:
            self._around(node)
            return
        if node.kind == "select":
            operand = node.children[0]
            if self._lenient(operand) is not None:
                self._look_up(operand, f"'{node.name}'", None, node)
                return
            if not words or words[0] in self._bound or self._prefix(operand):
                self._field(node, words)
                return
        if not words or words[0] in self._bound:
            self._around(node)
            return
        raise SyntaxFault(self._unknown(".".join(words)), node.start)

    def _field(self, node: Syntax, words: Sequence[str]) -> None:
        """Write a field of a value. The times of cookies are texts in the evaluator's maps."""
        read = _TIMES.get(node.name) if self._cookies and (not words or words[0] in self._bound) else None
        if read is None:
            self._around(node)
            return
        self._say(f"{read}(", node.start)
        self._around(node)
        self._say(")", node.end - 1)

    def _prefix(self, node: Syntax) -> bool:
        """Say whether a variable begins here, of whose value fields may be taken."""
        while node.kind == "select":
            name = self._variable(node)
            if name is not None:
                return not self._names[name].type.startswith(("string", "int", "bool", "timestamp"))
            node = node.children[0]
        name = self._variable(node)
        return name is not None

    def _need(self, name: str, node: Syntax) -> None:
        self.made.looked_up.add(name)
        del node

    def _unknown(self, name: str) -> str:
        if name.split(".")[0] in {"req", "res"} and not any(
            each.startswith(name.split(".")[0] + ".") for each in self._names
        ):
            return f"there is no {name.split('.')[0]} in {self._phase}"
        for other in Phase:
            if name in names_of(other):
                return f"{name} does not exist in {self._phase}"
        return f"there is no variable {name!r}{_nearest(name, self._names)}"

    # -- maps that are looked up without regard to case or absence

    def _lenient(self, node: Syntax) -> str | None:
        name = self._variable(node)
        return name if name in LENIENT_MAPS else None

    def _look_up(
        self, table: Syntax, literal: str | None, key: Syntax | None, node: Syntax, call: str = ""
    ) -> None:
        name = self._variable(table) or ""
        self.made.looked_up.add(name)
        function = call or ("portway_cookies" if name.endswith("cookies") else "portway_values")
        self._say(f"{function}('{name}', ", node.start)
        if key is None:
            self._say(literal or "''", node.start)
        else:
            self.write(key)
        self._say(")", node.end - 1)

    def _index(self, node: Syntax) -> None:
        table, key = node.children
        if self._lenient(table) is not None:
            self._look_up(table, None, key, node)
        else:
            self._around(node)

    def _chain(self, node: Syntax) -> None:
        """Rewrite ``key in map`` where the map is a lenient one; it binds tighter than its neighbours."""
        operators = node.name.split(" ")
        if "in" not in operators or self._lenient(node.children[-1]) is None or operators[-1] != "in":
            self._around(node)
            return
        *before, table = node.children
        if len(before) == 1:
            self._look_up(table, None, before[0], node, "portway_has")
            return
        left = Syntax("chain", node.start, before[-1].end, " ".join(operators[:-1]), before)
        self._look_up(table, None, left, node, "portway_has")

    # -- functions

    def _call(self, node: Syntax) -> None:
        if node.name == "has":
            self._has(node)
            return
        if node.name not in STANDARD:
            if not _exists(node.name, self._phase, method=False):
                raise SyntaxFault(self._no_function(node.name, method=False), node.start)
            self.made.calls = True
        if node.name == "matches" and len(node.children) == 2:
            self._matches(node.children[0], node.children[1], node)
            return
        if node.name == "string" and len(node.children) == 1:
            self._say("string(portway_text(", node.start)
            self.write(node.children[0])
            self._say("))", node.end - 1)
            return
        self._around(node)

    def _method(self, node: Syntax) -> None:
        operand, *arguments = node.children
        words = operand.dotted()
        if words and words[0] not in self._bound:
            full = ".".join((*words, node.name))
            if _exists(full, self._phase, method=False):
                self.made.calls = True
                self._around(node, arguments)
                return
            if words[0] not in ROOTS and len(words) == 1 and _is_namespace(words[0]):
                raise SyntaxFault(self._no_function(full, method=False), node.start)
        if node.name in MACROS:
            self._macro(node)
            return
        if node.name == "matches" and len(arguments) == 1:
            self._matches(operand, arguments[0], node)
            return
        if node.name not in STANDARD:
            if not _exists(node.name, self._phase, method=True):
                raise SyntaxFault(self._no_function(node.name, method=True), operand.end)
            self.made.calls = True
        self._around(node)

    def _matches(self, text: Syntax, pattern: Syntax, node: Syntax) -> None:
        written = pattern.name if pattern.kind == "literal" else ""
        raw = written[:1] in {"r", "R"}
        if raw or "\\" not in written:
            _check_pattern(written.lstrip("rRbB"), pattern.start)
        self._say("portway_matches(", node.start)
        self.write(text)
        self._say(", ", text.end)
        self.write(pattern)
        self._say(")", node.end - 1)

    def _macro(self, node: Syntax) -> None:
        operand, *arguments = node.children
        least, most = (3, 4) if node.name == "map" else (3, 3)
        if not least <= len(node.children) <= most or arguments[0].kind != "name":
            wanted = (
                "a name and one or two expressions" if node.name == "map" else "a name and one expression"
            )
            raise SyntaxFault(f"{node.name} takes {wanted}", operand.end)
        self.made.loops = True
        name = arguments[0].name
        if name in ROOTS:
            raise SyntaxFault(f"{name!r} is a variable of its own and cannot be bound", arguments[0].start)
        if node.name == "sortBy":
            self._sort_by(operand, arguments, node)
            return
        self.write(operand)
        self._say(self._source[operand.end : arguments[0].end], operand.end)
        self._inside(name, arguments[1:], arguments[0].end)
        self._say(")", node.end - 1)

    def _sort_by(self, operand: Syntax, arguments: Sequence[Syntax], node: Syntax) -> None:
        self._say("portway_sort_by(", node.start)
        self.write(operand)
        self._say(", ", operand.end)
        self.write(operand)
        self._say(f".map({arguments[0].name}", arguments[0].start)
        self._inside(arguments[0].name, arguments[1:], arguments[0].end)
        self._say("))", node.end - 1)

    def _inside(self, name: str, bodies: Sequence[Syntax], at: int) -> None:
        self._bound.append(name)
        for body in bodies:
            self._say(self._source[at : body.start], at)
            self.write(body)
            at = body.end
        self._bound.pop()

    def _has(self, node: Syntax) -> None:
        if len(node.children) != 1:
            raise SyntaxFault("has takes one argument", node.start)
        argument = node.children[0]
        name = self._variable(argument)
        if name is not None:
            self.made.looked_up.add(name)
            self._say(f"portway_present('{name}')", node.start)
        elif argument.kind == "index":
            table, key = argument.children
            if self._lenient(table) is not None:
                self._look_up(table, None, key, node, "portway_has")
            elif key.kind == "literal" and key.name[-1:] in "'\"":
                self._say("(", node.start)
                self.write(key)
                self._say(" in ", key.end)
                self.write(table)
                self._say(")", node.end - 1)
            else:
                raise SyntaxFault("has() of an index takes a key in quotes", key.start)
        elif argument.kind == "select" and self._lenient(argument.children[0]) is not None:
            self._look_up(argument.children[0], f"'{argument.name}'", None, node, "portway_has")
        elif argument.kind == "select":
            self._has_path(argument, node)
        else:
            raise SyntaxFault("has() takes a field, such as has(vars.name)", argument.start)

    def _has_path(self, argument: Syntax, node: Syntax) -> None:
        """Test every step of a path, so that what is missing on the way is no error."""
        steps: list[Syntax] = []
        step = argument
        while step.kind == "select" and self._variable(step) is None:
            steps.append(step)
            step = step.children[0]
        self._say("(", node.start)
        for number, each in enumerate(reversed(steps)):
            self._say(" && has(" if number else "has(", node.start)
            self._around(each)
            self._say(")", node.end - 1)
        self._say(")", node.end - 1)

    def _no_function(self, name: str, *, method: bool) -> str:
        for other in Phase:
            if _exists(name, other, method=method):
                return f"{name} does not exist in {self._phase}"
        if name in _MEANT:
            return f"there is no function {name!r}; it is called {_MEANT[name]!r}"
        known = {
            each.name
            for each in functions()
            if each.method == method and not each.name.startswith("portway_")
        }
        return f"there is no function {name!r}{_nearest(name, known | STANDARD)}"


def _check_pattern(literal: str, at: int) -> None:
    """Refuse a pattern that stands in the text and is none. Others show when the expression runs."""
    quote = literal[:3] if literal[:3] in {"'''", '"""'} else literal[:1]
    try:
        compile_regex(literal[len(quote) : len(literal) - len(quote)])
    except RegexError as error:
        raise SyntaxFault(f"not a regular expression of RE2: {error}", at) from error


@lru_cache(maxsize=1000)
def _exists(name: str, phase: Phase, *, method: bool) -> bool:
    return any(
        each.name == name
        and each.method == method
        and phase in each.phases
        and not name.startswith("portway_")
        for each in functions()
    )


def _is_namespace(word: str) -> bool:
    return any(each.name.startswith(word + ".") for each in functions())


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


__all__ = ["HEADER_MAPS", "Name", "Rewritten", "rewrite"]
