"""The functions of expressions that CEL's core does not bring: one table a family.

A function gets plain values (``bytes`` as ``bytearray``, times as ``datetime``, durations as ``timedelta``)
and returns one. What it raises becomes an error of the expression. What a text, list or map of its making
may weigh is bounded by ``bounded``. Functions that look at the request get it from ``scope()``.
"""

import importlib
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

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


FAMILIES: Final = ("text", "lists", "encoding", "network", "http")

_scope: ContextVar["Scope"] = ContextVar("scope")


def scope() -> "Scope":
    """Return what the expression that is being evaluated looks at."""
    return _scope.get()


def enter(current: "Scope") -> None:
    """Say what the next evaluation looks at; it is over before the next one begins."""
    _scope.set(current)


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
