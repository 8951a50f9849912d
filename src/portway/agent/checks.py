"""Telling a wrong option at once, by its name: what no service needs to be asked about.

Python finds a wrong keyword by itself; a wrong value would go wrong much later, somewhere else.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias, cast

from portway.errors import ConfigError

Duration: TypeAlias = float | timedelta
"""Seconds, or a timedelta."""


def expect(value: object, kind: Any, what: str) -> None:
    """Raise `ConfigError`, naming ``what``, unless the value is None or of this kind (a class, ``A | B``)."""
    if value is not None and not isinstance(value, kind):
        raise wrong(what, value, f"it must be {_words(kind)}")


def require(value: object, kind: Any, what: str) -> None:
    """Raise `ConfigError` as `expect` does, and for None too: of a flag it would mean no."""
    if value is None:
        raise wrong(what, value, f"it must be {_words(kind)}")
    expect(value, kind, what)


def expect_text(value: object, what: str) -> None:
    """Raise `ConfigError` unless the value is text that can be sent: half a surrogate pair cannot."""
    if not isinstance(value, str):
        raise wrong(what, value, "it must be str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{what} holds half a character (a lone surrogate) at {error.start}") from None


def listed(value: Any, kind: Any, what: str) -> tuple[Any, ...]:
    """Return what a list, or the like, holds. Raises `ConfigError` unless all of it is of this kind."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise wrong(what, cast("object", value), f"it must be a list of {_words(kind)}")
    found: tuple[Any, ...] = tuple(cast("Iterable[Any]", value))
    for each in found:
        require(each, kind, what)
        if kind is str:
            expect_text(each, what)
    return found


def expect_mapping(value: Any, what: str) -> None:
    """Raise `ConfigError` unless the value is a mapping whose keys are texts, or is None."""
    expect(value, Mapping, what)
    for key in cast("Mapping[Any, Any]", value or {}):
        expect_text(key, what)


def limit(value: Duration | None, what: str = "timeout") -> float | None:
    """Return a limit in seconds; None for none, and for an infinite one. Raises `ConfigError`, naming it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise wrong(what, value, "it must be seconds or a timedelta")
    number = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if math.isnan(number):
        raise ConfigError(f"{what} is not a number")
    return None if number == math.inf else number


def expect_call(value: object, what: str) -> None:
    """Raise `ConfigError` unless the value can be called, or is None."""
    if value is not None and not callable(value):
        raise wrong(what, value, "it must be a function")


def wrong(what: str, value: object, why: str) -> ConfigError:
    """Make the error. The value itself is not shown: it may be a secret."""
    return ConfigError(f"{what} is of type {type(value).__name__}: {why}")


def _words(kind: Any) -> str:
    kinds: tuple[type, ...] = getattr(kind, "__args__", (kind,))
    return " or ".join(each.__name__ for each in kinds)
