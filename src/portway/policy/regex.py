"""Regular expressions of RE2: time linear in the input, no look-around. The one module that imports re2."""

from functools import lru_cache
from typing import Any, Final

LONGEST: Final = 8192
"""Characters of a pattern."""
MEMORY: Final = 1 << 20
"""Bytes that a compiled pattern may take; RE2 refuses larger ones."""


class RegexError(Exception):
    """The pattern is no regular expression of RE2, or needs too much memory."""


@lru_cache(maxsize=1000)
def compile_regex(pattern: str) -> Any:
    """Return a compiled pattern, with the interface of ``re``'s. Raises RegexError.

    What was compiled lately is kept: patterns that an interpolation makes are compiled once a value.
    """
    import re2 as library

    re2: Any = library
    if len(pattern) > LONGEST:
        raise RegexError(f"longer than {LONGEST} characters")
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise RegexError(_text(error)) from error
    except UnicodeEncodeError as error:
        raise RegexError("holds half a character") from error


def _text(error: Exception) -> str:
    said = error.args[0] if error.args else "invalid"
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
