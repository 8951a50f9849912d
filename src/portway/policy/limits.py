"""How much a policy may be and do. Every number can be set by the operator; docs/limits.md lists them."""

from typing import Final

import msgspec
from msgspec.structs import fields, replace


class PolicyLimits(msgspec.Struct, frozen=True):
    """Limits of documents, of expressions and of what runs."""

    document: int = 256 * 1024
    """Bytes of a document."""
    nodes: int = 50_000
    """Values of a document, those that aliases stand for counted as often as they are used."""
    depth: int = 24
    """Levels of nesting of a document."""
    rules: int = 100
    """Rules of one document."""
    actions: int = 50
    """Actions of one rule."""
    expressions: int = 50
    """Expressions of one rule."""
    name: int = 255
    """Characters of a rule's name."""
    problems: int = 100
    """Problems that are looked for before a document is given up."""
    expression: int = 4096
    """Characters of one expression."""
    expression_depth: int = 24
    """Levels of nesting of one expression."""
    growth: int = 64
    """How many times its input an expression may be in size, as far as its text shows."""
    work: int = 100_000
    """What the functions of one evaluation may cost: 1 for an element of a list or for 64 characters, 4 for a
    call. 100,000 take about a tenth of a second."""
    loop_input: int = 128 * 1024
    """Bytes of the variables of an expression that has a loop: what it does it may do 10,000 times."""
    text: int = 1024 * 1024
    """Bytes of a text, list or map that a function or an interpolation makes."""
    vars_depth: int = 8
    """Levels of nesting of a value of set-vars."""
    vars_memory: int = 1024 * 1024
    """Bytes of all variables of one run."""
    run: float = 1.0
    """Seconds that the rules of one phase may take; 0 means no limit."""


DEFAULT_LIMITS = PolicyLimits()

HIGHEST: Final = {"depth": 100, "expression_depth": 24, "vars_depth": 64}
"""What cannot be raised further: whoever reads nested things reads them nested."""
MOST: Final = 2**31 - 1


def read_limits(text: str) -> PolicyLimits:
    """Read limits as an operator writes them: ``rules=200,document=524288``. Raises ValueError."""
    given: dict[str, int | float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or name not in _NAMES:
            raise ValueError(f"{part!r} is not LIMIT=N with a limit of {', '.join(sorted(_NAMES))}")
        if name in given:
            raise ValueError(f"the limit {name} stands twice")
        given[name] = _seconds(value) if name == "run" else _number(name, value)
    return replace(DEFAULT_LIMITS, **given)  # pyright: ignore[reportArgumentType] - each was read as its type


_NAMES: Final = frozenset(each.name for each in fields(PolicyLimits))


def _number(name: str, text: str) -> int:
    most = HIGHEST.get(name, MOST)
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise ValueError(f"{name}={text}: a whole number from 0 to {most} is wanted")
    return int(text)


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= MOST:
        raise ValueError(f"run={text}: a number of seconds is wanted")
    return found
