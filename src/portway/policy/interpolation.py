"""``${…}`` in the texts of a configuration.

A text is a sequence of literal pieces and expressions. The scanner follows string literals and braces, so
``${ {'a': '}'}['a'] }`` is one expression; ``$${`` is a literal ``${``; a ``$`` before anything else is a
dollar sign. Every expression is compiled with the document.

In a text, values are written as ``docs/spec/policy.md`` says: times by RFC 3339, lists and maps as JSON, null
as nothing. A text that is one expression and nothing else has a typed value besides: ``value``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from portway.policy.expression import CompileError, EvaluationError, Expression, Scope, compile_expression
from portway.policy.limits import PolicyLimits
from portway.policy.literal import end_of_literal
from portway.policy.phase import Phase
from portway.policy.quick import quick_text
from portway.policy.written import written

if TYPE_CHECKING:
    from portway.policy.compiler import World

MOST: Final = 100
"""Expressions in one text."""


class TemplateError(Exception):
    """A text whose ``${…}`` is wrong: why, and at which character."""

    def __init__(self, message: str, offset: int) -> None:
        """Take a sentence and the position from the start of the text."""
        super().__init__(message)
        self.message = message
        self.offset = offset


class Piece(NamedTuple):
    """A part of a text: literal, or the source of an expression."""

    text: str
    is_expression: bool
    offset: int


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text."""

    source: str
    pieces: tuple[str | Expression, ...]
    limit: int = 1 << 20

    @classmethod
    def constant(cls, text: str) -> "Template":
        """Make one without expressions, whatever is in it."""
        return cls(text, (text,))

    @property
    def is_constant(self) -> bool:
        """Nothing in it is computed."""
        return all(isinstance(piece, str) for piece in self.pieces)

    @property
    def is_single(self) -> bool:
        """It is one expression and nothing else: its value keeps its type."""
        return len(self.pieces) == 1 and isinstance(self.pieces[0], Expression)

    @property
    def literal(self) -> str:
        """The parts that are not computed, joined: what can be checked with the document."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    def text(self, scope: Scope) -> str:
        """Return the text. Raises EvaluationError."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], str):
            return self.pieces[0]
        parts: list[str] = []
        size = 0
        for piece in self.pieces:
            part = piece if isinstance(piece, str) else _written(piece.answer(scope))
            size += len(part)
            if size > self.limit:
                raise EvaluationError(f"the text becomes longer than {self.limit} characters")
            parts.append(part)
        return "".join(parts)

    def value(self, scope: Scope) -> object:
        """Return the value with its type if this is a single expression, else the text."""
        piece = self.pieces[0] if self.pieces else ""
        return piece.answer(scope) if self.is_single and isinstance(piece, Expression) else self.text(scope)


def _written(value: object) -> str:
    try:
        return written(value)
    except ValueError as error:  # of lists and maps that are no JSON
        raise EvaluationError(str(error)) from error


def compile_template(text: str, phase: Phase, limits: PolicyLimits, world: "World") -> Template:
    """Compile a text. Raises TemplateError."""
    pieces: list[str | Expression] = []
    for piece in scan(text):
        if not piece.is_expression:
            pieces.append(piece.text)
            continue
        if len(pieces) > 2 * MOST:
            raise TemplateError(f"a text may hold {MOST} expressions", piece.offset)
        try:
            made = compile_expression(piece.text, phase, limits, world)
        except CompileError as error:
            raise TemplateError(error.message, piece.offset + error.offset) from error
        made.quick = quick_text(piece.text, phase, limits)
        pieces.append(made)
    return Template(text, tuple(pieces) or ("",), limits.text)


def scan(text: str) -> Iterator[Piece]:
    """Cut a text into its pieces, adjacent literals joined. Raises TemplateError."""
    literal: list[str] = []
    begin = at = 0
    while (dollar := text.find("$", at)) >= 0:
        if text.startswith("$${", dollar):
            literal.append(text[at:dollar] + "${")
            at = dollar + 3
        elif text.startswith("${", dollar):
            literal.append(text[at:dollar])
            if joined := "".join(literal):
                yield Piece(joined, is_expression=False, offset=begin)
            literal.clear()
            end = _end(text, dollar + 2)
            source = text[dollar + 2 : end]
            if not source.strip():
                raise TemplateError("there is no expression between '${' and '}'", dollar)
            yield Piece(source, is_expression=True, offset=dollar + 2)
            begin = at = end + 1
        else:
            literal.append(text[at : dollar + 1])
            at = dollar + 1
    literal.append(text[at:])
    if joined := "".join(literal):
        yield Piece(joined, is_expression=False, offset=begin)


def _end(text: str, at: int) -> int:
    """Return the position of the brace that ends the expression that begins at ``at``."""
    begin, depth = at - 2, 0
    while at < len(text):
        character = text[at]
        if character in "'\"":
            end = end_of_literal(text, at, raw=_is_raw(text, at))
            if end is None:
                raise TemplateError("a string in '${…}' has no end", at)
            at = end
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    raise TemplateError("'${' has no closing '}'", begin)


def _is_raw(text: str, at: int) -> bool:
    """Say whether the letters before a quote make its literal a raw one: r, rb, br."""
    prefix = text[max(0, at - 2) : at].lower()
    letters = prefix[1:] if not prefix[:1].isalpha() or prefix[:1] not in "rb" else prefix
    before = text[at - len(letters) - 1] if at > len(letters) else ""
    return "r" in letters and set(letters) <= {"r", "b"} and not (before.isalnum() or before == "_")
