"""Filters of lists: a boolean subset of CEL, compiled to a function of one item. Pure.

::

    or      = and { "||" and }
    and     = test { "&&" test }
    test    = unary [ ( "<" | "<=" | "==" | "!=" | ">=" | ">" | "in" ) unary ]
    unary   = "!" unary | primary
    primary = "(" or ")" | text | number | "true" | "false" | "null" | "[" [ literal { "," literal } ] "]"
            | "size" "(" unary ")" | moment | field [ "." call "(" text ")" ]
    call    = "startsWith" | "endsWith" | "contains"
    moment  = "timestamp" "(" ( text | "time.now" ) ")" { "." ( "add" | "subtract" ) "(" duration ")" }
    field   = "obj" "." name { "." name }

Whatever else CEL has is refused, as is a field that the resource does not offer. What is unset equals
both null and "". A comparison that makes no sense for an item's value (a null that should be less than
something) is false for that item; one that makes no sense for any is refused.

Text, depth, nodes and lists are bounded before anything is evaluated, so that one evaluation costs at
most what its nodes and the item's texts cost; how many items one request looks at is the list's business.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any, Final, TypeGuard, cast

import msgspec

from portway.errors import Error

FILTER_LIMIT: Final = 4096
"""Characters of a filter."""
DEPTH_LIMIT: Final = 32
"""Levels of parentheses, negations and calls."""
NODES_LIMIT: Final = 256
"""Fields, literals and operators."""
LIST_LIMIT: Final = 100
"""Elements of one literal list."""

COMMON_FIELDS: Final = frozenset({"id", "created_at", "description", "metadata"})
"""What every resource can be filtered by."""

Item = Mapping[str, Any]
Eval = Callable[[Item], Any]

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<sign>\|\||&&|[<>=!]=|[<>!().,\[\]])
    )""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?"}
_DURATION: Final = re.compile(r"(\d{1,6})([dhm])", re.ASCII)
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_TEXT_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


class _Node(msgspec.Struct, frozen=True):
    """A part of the expression: what kind of value it has ("any" for a field), and how to get it."""

    kind: str
    eval: Eval
    field: str = ""


def compile_filter(
    text: str, fields: frozenset[str], now: float, *, common: bool = True
) -> Callable[[Item], bool]:
    """Return the test that a filter is.

    ``fields`` are those that it may name, such as "principal.id", beside COMMON_FIELDS unless told
    otherwise; ``now`` is what ``time.now`` means, in Unix seconds. Raises Error 250 for anything but a
    filter.
    """
    if len(text) > FILTER_LIMIT:
        raise _bad(f"it is longer than {FILTER_LIMIT} characters")
    known = fields | COMMON_FIELDS if common else fields
    evaluate = _Parser(_tokens(text), known, datetime.fromtimestamp(now, UTC)).whole().eval
    return lambda item: evaluate(item) is True


class _Parser:
    """Reads tokens by recursive descent."""

    def __init__(self, tokens: list[tuple[str, str]], fields: frozenset[str], now: datetime) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._fields = fields
        self._now = now
        self._depth = 0
        self._nodes = 0

    def whole(self) -> _Node:
        node = _boolean(self._or())
        if self._kind != "end":
            raise _bad(f"{self._word!r} is not expected there")
        return node

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _word(self) -> str:
        return self._tokens[self._at][1]

    def _next(self) -> str:
        word = self._word
        self._at += self._kind != "end"
        return word

    def _comes(self, sign: str) -> bool:
        return self._tokens[self._at] == ("sign", sign)

    def _takes(self, *words: str) -> str:
        """Take one of these signs or names if it comes next."""
        return self._next() if self._kind in {"sign", "name"} and self._word in words else ""

    def _needs(self, word: str) -> None:
        if not self._takes(word):
            raise _bad(f"{word!r} is missing before {self._word!r}" if self._word else f"{word!r} is missing")

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > NODES_LIMIT:
            raise _bad(f"it has more than {NODES_LIMIT} parts")

    def _or(self) -> _Node:
        return self._chain("||", self._and, any_first=True)

    def _and(self) -> _Node:
        return self._chain("&&", self._test, any_first=False)

    def _chain(self, sign: str, part: Callable[[], _Node], *, any_first: bool) -> _Node:
        nodes = [part()]
        while self._takes(sign):
            self._count()
            nodes.append(part())
        if len(nodes) == 1:
            return nodes[0]
        evals = [_boolean(node).eval for node in nodes]
        if any_first:
            return _Node("bool", lambda item: any(each(item) is True for each in evals))
        return _Node("bool", lambda item: all(each(item) is True for each in evals))

    def _test(self) -> _Node:
        left = self._unary()
        sign = self._takes("<", "<=", "==", "!=", ">=", ">", "in")
        if not sign:
            return left
        self._count()
        right = self._unary()
        if sign == "in":
            return _inclusion(left, right)
        return _equality(sign, left, right) if sign in {"==", "!="} else _order(sign, left, right)

    def _unary(self) -> _Node:
        self._count()
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise _bad(f"it is nested more than {DEPTH_LIMIT} levels deep")
        if self._takes("!"):
            inner = _boolean(self._unary()).eval
            node = _Node("bool", lambda item: inner(item) is not True)
        else:
            node = self._primary()
        self._depth -= 1
        return node

    def _primary(self) -> _Node:
        if self._takes("("):
            node = self._or()
            self._needs(")")
            return node
        if self._takes("["):
            return self._list()
        if self._kind in {"text", "number"} or self._word in {"true", "false", "null"}:
            return self._literal()
        if self._takes("size"):
            return self._size()
        if self._takes("timestamp"):
            return self._moment()
        if self._takes("obj"):
            return self._field()
        if self._kind == "name":
            raise _bad(f"{self._word[:60]!r} is not known; fields are written obj.NAME")
        raise _bad(
            f"a value is missing before {self._word!r}" if self._word else "a value is missing at its end"
        )

    def _literal(self) -> _Node:
        kind, word = self._kind, self._next()
        if kind == "text":
            text = _unquoted(word)
            return _Node("text", lambda _item: text)
        if kind == "number":
            number = float(word)
            return _Node("number", lambda _item: number)
        value = {"true": True, "false": False, "null": None}.get(word, "")
        if value == "":
            raise _bad(f"{word[:60]!r} is no literal")
        return _Node("null" if value is None else "bool", lambda _item: value)

    def _list(self) -> _Node:
        nodes: list[_Node] = []
        while not self._takes("]"):
            if nodes:
                self._needs(",")
            nodes.append(self._literal())
            if len(nodes) > LIST_LIMIT:
                raise _bad(f"a list has more than {LIST_LIMIT} elements")
        values = [node.eval({}) for node in nodes]
        return _Node("list", lambda _item: values)

    def _size(self) -> _Node:
        self._needs("(")
        inner = self._unary()
        self._needs(")")
        if inner.kind not in {"any", "text", "list"}:
            raise _bad("size() takes a text or a list")
        evaluate = inner.eval

        def size(item: Item) -> object:
            value = evaluate(item)
            if isinstance(value, str | list):
                return float(len(cast("list[object]", value)))
            return 0.0 if value is None else None

        return _Node("number", size)

    def _moment(self) -> _Node:
        self._needs("(")
        if self._takes("time"):
            self._needs(".")
            self._needs("now")
            moment = self._now
        else:
            moment = _time(self._text())
            if moment is None:
                raise _bad("timestamp() takes an RFC 3339 time")
        self._needs(")")
        while self._takes("."):
            self._count()
            verb = self._takes("add", "subtract")
            if not verb:
                raise _bad(f"a timestamp has no {self._word[:60]!r}; it has add() and subtract()")
            moment = self._moved(moment, 1 if verb == "add" else -1)
        fixed = moment
        return _Node("time", lambda _item: fixed)

    def _moved(self, moment: datetime, direction: int) -> datetime:
        self._needs("(")
        found = _DURATION.fullmatch(self._text())
        if not found:
            raise _bad('a duration is written "7d", "24h" or "30m"')
        self._needs(")")
        try:
            return moment + direction * timedelta(**{_UNITS[found[2]]: int(found[1])})
        except OverflowError as error:
            raise _bad("the time is out of range") from error

    def _text(self) -> str:
        if self._kind != "text":
            raise _bad("a quoted text is missing")
        return _unquoted(self._next())

    def _field(self) -> _Node:
        path: list[str] = []
        while self._takes("."):
            if self._kind != "name":
                raise _bad("a name is missing after a dot")
            name = self._next()
            if self._comes("("):
                return self._call(path, name)
            path.append(name)
        return self._read(path)

    def _read(self, path: list[str]) -> _Node:
        name = ".".join(path)
        if name not in self._fields:
            offered = ", ".join(sorted(self._fields))
            raise _bad(f"there is no field {name[:100]!r} to filter by; there are {offered}")
        if self._comes("["):
            raise _bad("indexing is not supported")

        def read(item: Item) -> object:
            value: Any = item
            for part in path:
                value = cast("Item", value).get(part) if isinstance(value, Mapping) else None
            return value

        return _Node("any", read, name)

    def _call(self, path: list[str], verb: str) -> _Node:
        if verb not in _TEXT_TESTS:
            raise _bad(f"{verb[:60]}() is not supported; there are {', '.join(_TEXT_TESTS)}")
        node = self._read_for_call(path)
        self._count()
        self._needs("(")
        argument = self._text()
        self._needs(")")
        test, evaluate = _TEXT_TESTS[verb], node.eval

        def tested(item: Item) -> bool:
            value = evaluate(item)
            return isinstance(value, str) and test(value, argument)

        return _Node("bool", tested)

    def _read_for_call(self, path: list[str]) -> _Node:
        if path and (path[-1] == "id" or path[-1].endswith("_id")):
            raise _bad("parts of an identifier cannot be searched; compare the whole")
        return self._read(path)


# Comparing.


def _boolean(node: _Node) -> _Node:
    if node.kind not in {"bool", "any"}:
        raise _bad("it must come to true or false")
    return node


def _equality(sign: str, left: _Node, right: _Node) -> _Node:
    one, other, wanted = left.eval, right.eval, sign == "=="
    if "list" in {left.kind, right.kind}:
        raise _bad("lists cannot be compared; use in")
    if (
        "any" not in {left.kind, right.kind}
        and left.kind != right.kind
        and "null" not in {left.kind, right.kind}
    ):
        raise _bad(f"a {left.kind} never equals a {right.kind}")
    return _Node("bool", lambda item: _equal(one(item), other(item)) is wanted)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, datetime) or isinstance(other, datetime):
        one, other = _time(one), _time(other)
        return one is not None and one == other
    if one is None or one == "":
        return other is None or other == ""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _order(sign: str, left: _Node, right: _Node) -> _Node:
    kinds = {left.kind, right.kind}
    if kinds - {"any", "text", "number", "time"} or (
        len(kinds) > 1 and "any" not in kinds and kinds != {"text", "time"}
    ):
        raise _bad(f"{left.kind} and {right.kind} have no order")
    one, other, compare = left.eval, right.eval, _ORDER[sign]

    def ordered(item: Item) -> bool:
        a, b = one(item), other(item)
        if isinstance(a, datetime) or isinstance(b, datetime):
            a, b = _time(a), _time(b)
        if _is_number(a) and _is_number(b):
            return compare(a, b)
        return any(isinstance(a, kind) and isinstance(b, kind) and compare(a, b) for kind in (str, datetime))

    return _Node("bool", ordered)


def _inclusion(left: _Node, right: _Node) -> _Node:
    if right.kind not in {"list", "any"} or left.kind == "list":
        raise _bad("in wants a value on its left and a list on its right")
    one, other = left.eval, right.eval

    def included(item: Item) -> bool:
        values, value = other(item), one(item)
        return isinstance(values, list) and any(_equal(value, each) for each in cast("list[object]", values))

    return _Node("bool", included)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _time(value: object) -> datetime | None:
    """Return a moment, read from RFC 3339 if need be; None if it is none."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or "T" not in value.upper():
        return None
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else None


# Tokens.


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _bad(f"{text[at:].lstrip()[:20]!r} cannot be read")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


def _unquoted(word: str) -> str:
    return _ESCAPE.sub(_unescaped, word[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    if found[2] not in _ESCAPES:
        raise _bad(f"the escape \\{found[2]} is not known")
    return _ESCAPES[found[2]]


def _bad(why: str) -> Error:
    return Error(f"The filter cannot be used: {why}.", 250)
