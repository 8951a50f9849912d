"""The functions of expressions that CEL's core does not bring: one table a family.

A function gets plain values (``bytes`` as ``bytearray``, times as ``datetime``, durations as ``timedelta``)
and returns one. What it raises becomes an error of the expression. What a text, list or map of its making
may weigh is bounded by ``bounded``. Functions that look at the request get it from ``scope()``.
"""

import importlib
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from portway.policy.phase import Phase

if TYPE_CHECKING:
    from portway.policy.expression import Scope

T = TypeVar("T", bound="str | bytes | list[Any]")

LONGEST: Final = 1 << 20
"""Characters, bytes or elements of what one call makes."""

ANY: Final = "any"
"""A parameter of any type."""

EVERYWHERE: Final = frozenset(Phase)
WITH_REQUEST: Final = frozenset((Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE))
WITH_RESPONSE: Final = frozenset((Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE))


class Function(NamedTuple):
    """One overload: its name (dotted if it has a namespace), types, and what it does."""

    name: str
    parameters: tuple[str, ...]
    result: str
    call: Callable[..., Any]
    method: bool = False
    """The first parameter stands before the dot."""
    phases: frozenset[Phase] = EVERYWHERE


class FunctionError(Exception):
    """A function was given what it cannot work with."""


FAMILIES: Final = ("text", "lists", "encoding", "network", "http", "vaults")


@dataclass(slots=True)
class _Evaluation:
    """What is going on: it is over before the next one begins."""

    scope: "Scope"
    left: int
    """Work that its functions may still do."""


_now: ContextVar[_Evaluation] = ContextVar("evaluation")


def scope() -> "Scope":
    """Return what the expression that is being evaluated looks at."""
    return _now.get().scope


def enter(current: "Scope", work: int) -> None:
    """Begin an evaluation: say what it looks at, and what its functions may cost."""
    _now.set(_Evaluation(current, work))


def charge(values: Iterable[Any]) -> None:
    """Count what a call takes or returns. Raises FunctionError when the functions have done enough.

    A loop may call a function 10,000 times, each time with a long text: steps alone bound nothing.
    """
    evaluation = _now.get()
    evaluation.left -= 4 + sum(map(_cost, values))
    if evaluation.left < 0:
        raise FunctionError("the expression takes too much work")


def _cost(value: Any) -> int:
    match value:
        case str() | bytes() | bytearray():
            return len(value) >> 6
        case list():
            items = cast("list[Any]", value)
            return len(items) + sum(len(each) >> 6 for each in items if isinstance(each, str))
        case dict():
            return 2 * len(cast("dict[Any, Any]", value))
        case _:
            return 0


def bounded(value: T) -> T:
    """Return the value, or raise FunctionError if it is larger than a function may make."""
    if len(value) > LONGEST:
        raise FunctionError(f"the result is larger than {LONGEST}")
    return value


@cache
def functions() -> tuple[Function, ...]:
    """Return every function of every family."""
    found: list[Function] = []
    for family in FAMILIES:
        found += importlib.import_module(f"{__name__}.{family}").FUNCTIONS
    return tuple(found)
