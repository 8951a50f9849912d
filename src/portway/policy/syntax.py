"""The syntax of expressions: CEL text → a tree whose nodes know where they stand.

The tree is what rewriting (:mod:`portway.policy.rewrite`) and the estimate of size work on; the evaluator
parses the rewritten text again by itself. What it would crash on is not in this grammar: optional values
(``a.?b``), messages (``T{a: 1}``) and quoted identifiers. Chains of operators are one node, so that a long
expression is not a deep one.

::

    expression = or [ "?" or ":" expression ]
    or … product = binary operators, by precedence, of unary
    unary = ( "!"* | "-"* ) member
    member = primary ( "." name [ "(" arguments ")" ] | "[" expression "]" )*
    primary = name [ "(" arguments ")" ] | literal | "(" expression ")" | "[" … "]" | "{" … "}"
"""

import re
from dataclasses import dataclass, field
from typing import Final

from portway.policy.literal import end_of_literal

CHAIN: Final = 256
"""Operands of one chain of ``&&`` or ``||``, which the evaluator balances."""
HEIGHT: Final = 30
"""Levels of a tree as the evaluator counts them: each link of ``a.b.c`` is one, and each operand of ``+``."""

_TOKEN: Final = re.compile(
    r"(?P<space>[\s]+|//[^\n]*)"
    r"|(?P<string>[rR]?[bB]?(?=['\"])|[bB][rR](?=['\"]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?[uU]?)"
    r"|(?P<operator>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])",
    re.ASCII,
)
_LEVELS: Final = (
    frozenset(("||",)), frozenset(("&&",)), frozenset(("==", "!=", "<", "<=", ">", ">=", "in")),
    frozenset(("+", "-")), frozenset(("*", "/", "%")),
)  # fmt: skip
"""Binary operators, loosest first."""

_NUL: Final = re.compile(r"\0|\\(?:u0000|[xX]00|U0{8}|000)")
"""NUL and how it is written; in a raw string too, where it is hardly meant."""

_WORDS: Final = {"true", "false", "null"}
_RESERVED: Final = {
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
}  # fmt: skip


class SyntaxFault(Exception):
    """A text that is no expression: why, and at which character."""

    def __init__(self, message: str, offset: int) -> None:
        """Take a sentence and a position."""
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(slots=True, eq=False)
class Syntax:
    """A node: ``text[start:end]``.

    =========  ==========================  =======================================
    kind       children                    name
    =========  ==========================  =======================================
    literal    –                           –
    name       –                           the identifier
    select     operand                     the field
    index      operand, key                –
    call       arguments                   the function
    method     operand, arguments          the function
    list       elements                    –
    map        key, value, key, value …    –
    chain      operands                    the operators, joined by spaces
    unary      operand                     ``!`` or ``-``
    choice     condition, yes, no          –
    group      the expression inside       –
    =========  ==========================  =======================================
    """

    kind: str
    start: int
    end: int
    name: str = ""
    children: list["Syntax"] = field(default_factory=lambda: list[Syntax]())
    height: int = field(init=False, default=1)
    """Levels of this node and below it; brackets around it count nothing."""

    def __post_init__(self) -> None:
        """Count the levels. Raises SyntaxFault when they are too many."""
        self.height = max((child.height for child in self.children), default=0) + self._levels()
        if self.height > HEIGHT:
            raise SyntaxFault("the expression is nested too deeply", self.start)

    def _levels(self) -> int:
        if self.kind == "group":
            return 0
        logical = set(self.name.split(" ")) <= {"&&", "||"}
        return len(self.children) - 1 if self.kind == "chain" and not logical else 1

    def dotted(self) -> tuple[str, ...]:
        """Return the words of ``a.b.c``, or nothing if this is no such thing."""
        if self.kind == "name":
            return (self.name,)
        if self.kind == "select":
            before = self.children[0].dotted()
            return (*before, self.name) if before else ()
        return ()


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def parse_expression(text: str, depth: int) -> Syntax:
    """Parse a whole expression that is at most ``depth`` levels deep. Raises SyntaxFault."""
    if found := re.search("[\ud800-\udfff]", text):
        raise SyntaxFault("half a character has no place in an expression", found.start())
    parser = _Parser(text, depth)
    tree = parser.expression()
    if parser.token.kind != "end":
        raise parser.unexpected()
    return tree


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] == "=":
                raise SyntaxFault("'=' has no place in an expression; '==' compares", at)
            if text.startswith("${", at):
                raise SyntaxFault("an expression is written here by itself, without '${…}'", at)
            raise SyntaxFault(f"{text[at]!r} has no place in an expression", at)
        kind, end = match.lastgroup or "", match.end()
        if kind == "string":
            closed = end_of_literal(text, end, raw="r" in match[0].lower())
            if closed is None:
                raise SyntaxFault("a string has no end", at)
            end = closed
            if _NUL.search(text, at, end):
                raise SyntaxFault("a string may not hold the character NUL", at)
        if kind != "space":
            found.append(_Token(kind, text[at:end], at, end))
        at = end
    found.append(_Token("end", "", len(text), len(text)))
    return found


class _Parser:
    """Recursive descent; the depth is counted wherever it can grow."""

    def __init__(self, text: str, depth: int) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._left = depth

    @property
    def token(self) -> _Token:
        return self._tokens[self._at]

    def unexpected(self) -> SyntaxFault:
        token = self.token
        if token.kind == "end":
            return SyntaxFault("the expression ends too early", token.start)
        if token.text in _RESERVED:
            return SyntaxFault(f"{token.text!r} is a reserved word", token.start)
        if token.text == "?" or (token.text == ":" and self._at):
            return SyntaxFault(
                f"{token.text!r} is not expected here; optional values are not supported", token.start
            )
        return SyntaxFault(f"{token.text[:40]!r} is not expected here", token.start)

    def expression(self) -> Syntax:
        self._left -= 1
        if self._left < 0:
            raise SyntaxFault("the expression is nested too deeply", self.token.start)
        tree = self._chain(0)
        if self._take("?"):
            yes = self._chain(0)
            self._need(":")
            no = self.expression()
            tree = Syntax("choice", tree.start, no.end, children=[tree, yes, no])
        self._left += 1
        return tree

    def _chain(self, level: int) -> Syntax:
        if level == len(_LEVELS):
            return self._unary()
        operands = [self._chain(level + 1)]
        operators: list[str] = []
        while self.token.kind in {"operator", "name"} and self.token.text in _LEVELS[level]:
            operators.append(self._next().text)
            operands.append(self._chain(level + 1))
            if len(operands) > CHAIN:
                raise SyntaxFault(f"more than {CHAIN} operands in a row", self.token.start)
        if not operators:
            return operands[0]
        return Syntax("chain", operands[0].start, operands[-1].end, " ".join(operators), operands)

    def _unary(self) -> Syntax:
        token = self.token
        if token.text not in {"!", "-"} or token.kind != "operator":
            return self._member()
        count = 0
        while self.token.text == token.text and self.token.kind == "operator":
            self._next()
            count += 1
        if count > 8:
            raise SyntaxFault(f"too many {token.text!r} in a row", token.start)
        operand = self._member()
        return Syntax("unary", token.start, operand.end, token.text, [operand])

    def _member(self) -> Syntax:
        tree = self._primary()
        while True:
            if self._take("."):
                name = self._identifier(field_name=True)
                if self._take("("):
                    arguments = self._list(")")
                    tree = Syntax("method", tree.start, self._end(), name.text, [tree, *arguments])
                else:
                    tree = Syntax("select", tree.start, name.end, name.text, [tree])
            elif self._take("["):
                key = self.expression()
                self._need("]")
                tree = Syntax("index", tree.start, self._end(), children=[tree, key])
            else:
                return tree

    def _primary(self) -> Syntax:
        token = self.token
        if token.kind in {"string", "number"} or token.text in _WORDS:
            self._next()
            return Syntax("literal", token.start, token.end, token.text)
        if self._take("("):
            inner = self.expression()
            self._need(")")
            return Syntax("group", token.start, self._end(), children=[inner])
        if self._take("["):
            elements = self._list("]")
            return Syntax("list", token.start, self._end(), children=elements)
        if self._take("{"):
            return self._map(token)
        name = self._identifier(field_name=False)
        if self._take("("):
            arguments = self._list(")")
            return Syntax("call", token.start, self._end(), name.text, arguments)
        return Syntax("name", name.start, name.end, name.text)

    def _map(self, opening: _Token) -> Syntax:
        children: list[Syntax] = []
        while not self._take("}"):
            if children:
                self._need(",")
                if self._take("}"):
                    break
            key = self.expression()
            if key.kind == "name" and self.token.text == ":":
                raise SyntaxFault(f"the key {key.name!r} of a map needs quotes", key.start)
            self._need(":")
            children += [key, self.expression()]
        return Syntax("map", opening.start, self._end(), children=children)

    def _list(self, closing: str) -> list[Syntax]:
        found: list[Syntax] = []
        while not self._take(closing):
            if found:
                self._need(",")
                if closing == "]" and self._take(closing):
                    break
            found.append(self.expression())
        return found

    def _identifier(self, *, field_name: bool) -> _Token:
        token = self.token
        if token.kind != "name" or (token.text in _RESERVED and not field_name):
            raise self.unexpected()
        return self._next()

    def _next(self) -> _Token:
        token = self.token
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self.token.kind == "operator" and self.token.text == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            token = self.token
            if token.kind == "end":
                raise SyntaxFault(f"{text!r} is missing at the end", token.start)
            raise self.unexpected()

    def _end(self) -> int:
        """Where the token before this one ends."""
        return self._tokens[self._at - 1].end
