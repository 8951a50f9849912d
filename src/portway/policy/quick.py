"""What is answered without the evaluator: most rules compare a text with a few others, or ask for one.

The evaluator takes its values as objects of its own: that alone costs 15 µs a condition, and more than a
thousand for a policy of a hundred rules that do not match. What most of them say needs none of it:

=====================================================  ============================================
``req.url.path.startsWith('/a')``, likewise            texts: variables, and the first value of a
``endsWith``, ``contains``, ``==``, ``!=``             header field, ``req.headers['x'][0]``
``req.method in ['GET', 'HEAD']``                      texts that are all written out
``res.status_code >= 500``, ``conn.server_port == 1``  whole numbers
``'x' in req.headers``                                 fields, cookies, query parameters
``!a``, ``a && b``, ``a || b``, ``( a )``              of these
``conn.client_ip``, ``req.headers['x'][0]``            the text itself: of buckets, and in ``${…}``
=====================================================  ============================================

A test made here answers True or False only where the evaluator would: whatever is absent, of another type or
an error is None, and then the evaluator is asked, so errors are told in its words, and absorbed as it does.
Every condition has been compiled by the evaluator before: what is wrong in it is known by then.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from portway.policy.expression import Absent, Scope
from portway.policy.lookup import lookup
from portway.policy.names import LENIENT_MAPS, Name, names_of
from portway.policy.rewrite import GO_NAMES
from portway.policy.syntax import SyntaxFault, parse_expression
from portway.policy.values import getters

if TYPE_CHECKING:
    from portway.policy.limits import PolicyLimits
    from portway.policy.phase import Phase
    from portway.policy.syntax import Syntax

Test = Callable[[Scope], bool | None]
"""Answers a condition; None: ask the evaluator."""

LOOKUPS: Final = 16
"""Lookups in tables of one condition: so few cannot cost what the evaluator lets them cost."""
WORK: Final = 100_000
"""Budget of the evaluator's functions below which it is always asked."""

_Value = Callable[[Scope], object]

_TEXT: Final = re.compile(r"'([^'\\\n]*)'|\"([^\"\\\n]*)\"", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_METHODS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith, "endsWith": str.endswith, "contains": operator.contains,
}  # fmt: skip
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


def quick_test(source: str, phase: "Phase", limits: "PolicyLimits") -> Test | None:
    """Return what answers a condition that the evaluator has compiled; None: it is not of the simple kind."""
    if limits.work < WORK:
        return None
    try:
        reader = _Reader(names_of(phase))
        made = reader.test(parse_expression(source, limits.expression_depth))
    except SyntaxFault:
        return None
    return made if reader.lookups <= LOOKUPS else None


def quick_text(source: str, phase: "Phase", limits: "PolicyLimits") -> Callable[[Scope], str | None] | None:
    """Return what answers an expression that is a text and nothing else; None: it is not of that kind."""
    if limits.work < WORK:
        return None
    try:
        get = _Reader(names_of(phase)).text(parse_expression(source, limits.expression_depth))
    except SyntaxFault:
        return None
    return None if get is None else _only_text(get)


class _Reader:
    """Makes tests of the nodes of one condition."""

    def __init__(self, names: Mapping[str, Name]) -> None:
        self._names = names
        self.lookups = 0

    def test(self, node: "Syntax") -> Test | None:
        match node.kind:
            case "group":
                return self.test(node.children[0])
            case "unary" if node.name == "!" and node.children[0].start == node.start + 1:
                return _not(self.test(node.children[0]))
            case "chain":
                return self._chain(node)
            case "method" if node.name in _METHODS and len(node.children) == 2:
                text, wanted = self.text(node.children[0]), _text_in(node.children[1])
                return None if text is None or wanted is None else _of_text(_METHODS[node.name], text, wanted)
            case _:
                return None

    def _chain(self, node: "Syntax") -> Test | None:
        operators = set(node.name.split(" "))
        if operators in ({"&&"}, {"||"}):
            tests = [made for each in node.children if (made := self.test(each)) is not None]
            whole = len(tests) == len(node.children)
            return _joined(tests, until=operators == {"||"}) if whole else None
        if len(node.children) != 2:
            return None
        left, right = node.children
        return (
            self._membership(left, right) if node.name == "in" else self._comparison(left, node.name, right)
        )

    def _membership(self, left: "Syntax", right: "Syntax") -> Test | None:
        name = self._variable(right)
        wanted = _text_in(left)
        if name in LENIENT_MAPS and wanted is not None:
            self.lookups += 1
            return lambda scope: bool(lookup(name, wanted, scope.facts))
        text = self.text(left)
        if text is None or right.kind != "list":
            return None
        known = [found for each in right.children if (found := _text_in(each)) is not None]
        if len(known) < len(right.children):
            return None
        return _of_text(lambda value, among: value in among, text, frozenset(known))

    def _comparison(self, left: "Syntax", name: str, right: "Syntax") -> Test | None:
        compare = _COMPARISONS.get(name)
        if compare is None:
            return None
        text, wanted = self.text(left), _text_in(right)
        if text is not None and wanted is not None and name in {"==", "!="}:
            return _of_text(compare, text, wanted)
        number = self._of_type(left, "int") or self._of_type(left, "dyn")  # the latter may be a text
        if number is not None and right.kind == "literal" and _NUMBER.fullmatch(right.name):
            return _of_number(compare, number, int(right.name))
        return None

    def text(self, node: "Syntax") -> _Value | None:
        """Return what computes a text: a variable's, or the first of a header field."""
        found = self._of_type(node, "string")
        if found is not None or node.kind != "index":
            return found
        table, place = node.children
        if place.kind != "literal" or place.name != "0" or table.kind != "index":
            return None
        name, key = self._variable(table.children[0]), _text_in(table.children[1])
        if name not in LENIENT_MAPS or name.endswith("cookies") or key is None:
            return None
        self.lookups += 1
        return lambda scope: next(iter(lookup(name, key, scope.facts)), None)

    def _of_type(self, node: "Syntax", kind: str) -> _Value | None:
        name = self._variable(node)
        if name is None or self._names[name].type != kind:
            return None
        get = getters().get(name)
        return (lambda scope: scope.value(name)) if get is None else (lambda scope: get(scope.facts))

    def _variable(self, node: "Syntax") -> str | None:
        written = ".".join(node.dotted())
        name = GO_NAMES.get(written, written)
        return name if name in self._names else None


def _text_in(node: "Syntax") -> str | None:
    """Return the text of a literal that is nothing but its characters."""
    match = _TEXT.fullmatch(node.name) if node.kind == "literal" else None
    return None if match is None else match[1] or match[2] or ""


def _only_text(get: _Value) -> Callable[[Scope], str | None]:
    def text(scope: Scope) -> str | None:
        try:
            value = get(scope)
        except Absent:
            return None
        return value if isinstance(value, str) and "\0" not in value else None

    return text


def _of_text(act: Callable[[str, Any], bool], get: _Value, wanted: object) -> Test:
    def test(scope: Scope) -> bool | None:
        try:
            value = get(scope)
        except Absent:
            return None
        if not isinstance(value, str) or "\0" in value:
            return None
        return act(value, wanted)

    return test


def _of_number(act: Callable[[Any, Any], bool], get: _Value, wanted: int) -> Test:
    def test(scope: Scope) -> bool | None:
        try:
            value = get(scope)
        except Absent:
            return None
        return act(value, wanted) if isinstance(value, int) and not isinstance(value, bool) else None

    return test


def _not(test: Test | None) -> Test | None:
    if test is None:
        return None

    def negated(scope: Scope) -> bool | None:
        known = test(scope)
        return None if known is None else not known

    return negated


def _joined(tests: list[Test], *, until: bool) -> Test:
    """Ask one after the other until one answers so; what stands behind it, error or not, plays no part."""

    def test(scope: Scope) -> bool | None:
        for each in tests:
            known = each(scope)
            if known is None or known is until:
                return known
        return not until

    return test
