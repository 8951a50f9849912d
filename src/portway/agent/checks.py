"""Telling a wrong option at once, by its name: what no service needs to be asked about.

Python finds a wrong keyword by itself; a wrong value would go wrong much later, somewhere else.
"""

from typing import Any

from portway.errors import ConfigError


def expect(value: object, kind: Any, what: str) -> None:
    """Raise `ConfigError`, naming ``what``, unless the value is None or of this kind (a class, ``A | B``)."""
    if value is not None and not isinstance(value, kind):
        raise wrong(what, value, f"it must be {_words(kind)}")


def expect_text(value: object, what: str) -> None:
    """Raise `ConfigError` unless the value is text."""
    if not isinstance(value, str):
        raise wrong(what, value, "it must be a text")


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
