"""How much a policy may be and do. Every number can be set by the operator; docs/limits.md lists them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicyLimits:
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
