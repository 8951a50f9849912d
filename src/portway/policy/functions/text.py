"""Functions on texts: those of CEL's extension library and ngrok's own.

Positions count code points. Trimming and splitting know Unicode's white space without the zero-width
characters, as Go does.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from portway.policy.functions import Function, FunctionError, bounded
from portway.policy.regex import compile_regex
from portway.policy.written import written

_SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_SPACES: Final = re.compile(f"[{_SPACE}]+")
_ASCII_UPPER: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ASCII_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_VERB: Final = re.compile(r"%(?:\.([0-9]{1,3}))?([sdfebxXo%])|%")
_DOTTED_I: Final = "\u0307"


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise FunctionError(f"index {index} is outside of a text of {len(text)} characters")
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise FunctionError(f"index {start} is outside of a text of {len(text)} characters")
    return text.find(part, start)


def _last_index_of(text: str, part: str, upto: int | None = None) -> int:
    last = len(text) if upto is None else upto
    if not 0 <= last <= len(text):
        raise FunctionError(f"index {last} is outside of a text of {len(text)} characters")
    return text.rfind(part, 0, last + len(part)) if part else last


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise FunctionError(f"{start} to {stop} is outside of a text of {len(text)} characters")
    return text[start:stop]


def _split(text: str, separator: str | None = None, most: int = -1) -> list[str]:
    """Split; with a number the rest is dropped, as ngrok documents: ``'a b c'.split(' ', 1)`` is ['a']."""
    if separator is None:
        parts = [part for part in _SPACES.split(text) if part]
    elif not separator:
        parts = list(text)
    else:
        parts = text.split(separator)
    return bounded(parts if most < 0 else parts[:most])


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    count = text.count(old) if most < 0 else min(text.count(old), most)
    if len(text) + count * max(0, len(new) - len(old)) > 1 << 20:
        raise FunctionError("the result is too large")
    return text.replace(old, new, count)


def _trim(text: str) -> str:
    return text.strip(_SPACE)


def _reverse(text: str) -> str:
    return text[::-1]


def _lower_ascii(text: str) -> str:
    return text.translate(_ASCII_LOWER)


def _upper_ascii(text: str) -> str:
    return text.translate(_ASCII_UPPER)


def _upper(text: str) -> str:
    return bounded(text.upper())


def _lower(text: str) -> str:
    return bounded(text.lower().replace("i" + _DOTTED_I, "i"))


_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def _quote(text: str) -> str:
    return bounded('"' + "".join(_ESCAPES.get(c, c) for c in text) + '"')


def _format(text: str, arguments: list[Any]) -> str:
    """Fill ``%s %d %f %e %b %x %X %o`` with the values of a list, in order."""
    left = iter(arguments)

    def fill(found: "re.Match[str]") -> str:
        verb = found[2]
        if verb is None:
            raise FunctionError(f"unknown verb at position {found.start()} of the format")
        if verb == "%":
            return "%"
        try:
            value = next(left)
        except StopIteration:
            raise FunctionError(f"the format wants more than {len(arguments)} values") from None
        return _VERBS[verb](value, 6 if found[1] is None else int(found[1]))

    return bounded(_VERB.sub(fill, text))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FunctionError(f"a whole number is wanted, not {type(value).__name__}")
    return value


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FunctionError(f"a number is wanted, not {type(value).__name__}")
    return float(value)


def _hexadecimal(value: Any) -> str:
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return f"{_whole(value):x}"


def _binary(value: Any) -> str:
    return f"{int(value):b}" if isinstance(value, bool) else f"{_whole(value):b}"


_VERBS: Final[dict[str, Callable[[Any, int], str]]] = {
    "s": lambda value, _: _shown(value),
    "d": lambda value, _: str(_whole(value)),
    "f": lambda value, precision: f"{_real(value):.{precision}f}",
    "e": lambda value, precision: f"{_real(value):.{precision}e}",
    "b": lambda value, _: _binary(value),
    "x": lambda value, _: _hexadecimal(value),
    "X": lambda value, _: _hexadecimal(value).upper(),
    "o": lambda value, _: f"{_whole(value):o}",
}


def _shown(value: Any) -> str:
    return "null" if value is None else written(value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _matches(text: str, pattern: str) -> bool:
    return compile_regex(pattern).search(text) is not None


FUNCTIONS: Final = [
    Function("portway_matches", ("string", "string"), "bool", _matches),
    Function("charAt", ("string", "int"), "string", _char_at, method=True),
    Function("indexOf", ("string", "string"), "int", _index_of, method=True),
    Function("indexOf", ("string", "string", "int"), "int", _index_of, method=True),
    Function("lastIndexOf", ("string", "string"), "int", _last_index_of, method=True),
    Function("lastIndexOf", ("string", "string", "int"), "int", _last_index_of, method=True),
    Function("format", ("string", "list(dyn)"), "string", _format, method=True),
    Function("split", ("string",), "list(string)", _split, method=True),
    Function("split", ("string", "string"), "list(string)", _split, method=True),
    Function("split", ("string", "string", "int"), "list(string)", _split, method=True),
    Function("replace", ("string", "string", "string"), "string", _replace, method=True),
    Function("replace", ("string", "string", "string", "int"), "string", _replace, method=True),
    Function("substring", ("string", "int"), "string", _substring, method=True),
    Function("substring", ("string", "int", "int"), "string", _substring, method=True),
    Function("trim", ("string",), "string", _trim, method=True),
    Function("reverse", ("string",), "string", _reverse, method=True),
    Function("lowerAscii", ("string",), "string", _lower_ascii, method=True),
    Function("upperAscii", ("string",), "string", _upper_ascii, method=True),
    Function("lower", ("string",), "string", _lower, method=True),
    Function("upper", ("string",), "string", _upper, method=True),
    Function("isJson", ("string",), "bool", _is_json, method=True),
    Function("strings.quote", ("string",), "string", _quote),
]
