"""How large an expression could become, read off its tree: so that none can fill the memory.

Texts and lists are joined by ``+``, and each use of a loop's variable may double what it stands for:
``[s].map(a, a + a).map(b, b + b)…`` is short and 2ⁿ times ``s``. Counted is how many times its largest input
a value may contain; a value of more than the limit is refused when the expression is compiled.
"""

from collections.abc import Mapping
from typing import Final

from portway.policy.syntax import Syntax

_LOOPS: Final = {"map", "filter", "sortBy"}
_SMALL: Final = {
    "size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "bool", "all", "exists",
    "exists_one", "has", "indexOf", "lastIndexOf",
}  # fmt: skip


class TooLarge(Exception):
    """An expression could become too large: why, and at which character."""

    def __init__(self, message: str, offset: int) -> None:
        """Take a sentence and a position."""
        super().__init__(message)
        self.message = message
        self.offset = offset


def growth_of(tree: Syntax, limit: int) -> int:
    """Return the growth of an expression. Raises TooLarge above ``limit``."""
    return _Estimate(limit).of(tree, {})


class _Estimate:
    def __init__(self, limit: int) -> None:
        self._limit = limit

    def of(self, node: Syntax, bound: Mapping[str, int]) -> int:
        found = self._of(node, bound)
        if found > self._limit:
            raise TooLarge(
                f"the value could be more than {self._limit} times as large as what it is made of", node.start
            )
        return found

    def _of(self, node: Syntax, bound: Mapping[str, int]) -> int:
        match node.kind:
            case "literal":
                return 0
            case "name":
                return bound.get(node.name, 1)
            case "chain":
                return self._chain(node, bound)
            case "choice":
                return max(self.of(child, bound) for child in node.children)
            case "method":
                return self._method(node, bound)
            case "call":
                total = sum(self.of(child, bound) for child in node.children)
                return 0 if node.name in _SMALL else total
            case "select" | "index" | "unary" | "group":
                return max(self.of(child, bound) for child in node.children)
            case _:
                return sum(self.of(child, bound) for child in node.children)

    def _chain(self, node: Syntax, bound: Mapping[str, int]) -> int:
        parts = [self.of(child, bound) for child in node.children]
        return sum(parts) if set(node.name.split(" ")) & {"+", "-"} else 0

    def _method(self, node: Syntax, bound: Mapping[str, int]) -> int:
        operand, *arguments = node.children
        before = self.of(operand, bound)
        if (
            arguments
            and arguments[0].kind == "name"
            and node.name in _LOOPS | {"all", "exists", "exists_one"}
        ):
            inner = {**bound, arguments[0].name: max(before, 1)}
            bodies = [self.of(each, inner) for each in arguments[1:]]
            if node.name not in _LOOPS:
                return 0
            return max(before, 1) if node.name == "filter" else max(bodies, default=0)
        total = before + sum(self.of(each, bound) for each in arguments)
        return 0 if node.name in _SMALL else total
