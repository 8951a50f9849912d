"""What the evaluator says of an expression, in words for those who wrote it.

Its own words name operators and functions as it calls them inside: ``found no matching overload for '_==_'
applied to '(list(string), string)'``. The mistakes that people make most get a way out, too.
"""

import re
from typing import Final

_MISSING: Final = re.compile(r'No value with name "([^"]+)"')
_INDEX: Final = re.compile(r"Index error: index=(-?[0-9]+) size=([0-9]+)")
_KEY: Final = re.compile(r"Key not found in map : (.+)", re.DOTALL)
_CHECKED: Final = re.compile(r"found no matching overload for '([^']+)' applied to '\((.*)\)'", re.DOTALL)
_RUN: Final = re.compile(r"No matching overloads found : (?:\((.+)\)\.)?([^(]+)(?:\((.*)\))?", re.DOTALL)
_KINDS: Final = re.compile(r"google\.protobuf\.(Timestamp|Duration)|\b(u?int)64\b|\bT%[0-9]+")

_UNFIT: Final = re.compile(r"'[^' ]{1,60}(?: :)?' does not take ").match

_OPERATORS: Final = {
    "@in": "in", "_[_]": "[…]", "_?_:_": "? :", "<jump_condition>": "? :", "!_": "!", "-_": "-",
    **{f"_{each}_": each for each in ("==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&&", "||")},
}  # fmt: skip
_COMPARED: Final = {"==", "!=", "<", "<=", ">", ">="}
_OF_TEXTS: Final = {"==", "!=", "startsWith", "endsWith", "contains", "matches"}
_NUMBERS: Final = {"int", "uint", "double"}


def failed(text: str) -> str:
    """Return why an expression has no value, from what the runtime said."""
    if absent := _MISSING.search(text):
        return f"{absent[1]} is absent"
    text = text.partition(": ")[2] or text  # behind the kind of the error
    if found := _INDEX.search(text):
        size = int(found[2])
        of = "an empty list" if not size else f"a list of {size}"
        return f"there is no [{found[1]}] in {of}"
    if found := _KEY.search(text):
        return f"there is no key {found[1]}"
    if found := _RUN.search(text):
        receiver = [found[1]] if found[1] else []
        return _unfit(found[2].strip(), [*receiver, *_split(found[3] or "")])
    return text


def is_unfit(text: str) -> bool:
    """Say whether what ``failed`` returned is that an operator or function takes no such values."""
    return bool(_UNFIT(text))


def refused(text: str) -> str:
    """Return why an expression is none, from what the type checker said."""
    found = _CHECKED.fullmatch(text)
    return _unfit(found[1], _split(found[2])) if found else text


def _unfit(inner: str, kinds: list[str]) -> str:
    """Say that an operator or function takes no such values, and what may be meant."""
    name = _OPERATORS.get(inner, inner.removeprefix("portway_"))
    said = f"{name!r} does not take {' and '.join(kinds)}" if kinds else f"{name!r} does not take this"
    return f"{said}{_hint(name, kinds)}"


def _hint(name: str, kinds: list[str]) -> str:
    if name in {"!", "&&", "||", "? :"}:
        return "; it wants true or false"
    if len(kinds) != 2:
        return ""
    first, second = kinds
    if name in _OF_TEXTS and first.startswith("list") and second == "string":
        return "; of a list take one value with [0], or ask exists(each, …)"
    if name == "in" and second == "string":
        return "; 'in' looks into lists and maps, contains(…) into texts, inCidrRange(…) into networks"
    if first != second and {first, second} <= _NUMBERS:
        return "; convert one of them with int(…) or double(…)"
    if "string" in kinds and not _NUMBERS.isdisjoint(kinds):
        if name in _COMPARED:
            return "; a number is written without quotes, int(…) reads one from a text"
        return "; string(…) makes a text of a number" if name == "+" else ""
    return ""


def _split(text: str) -> list[str]:
    """Split types at the commas that are in no brackets; give them the names of CEL."""
    found, depth = [""], 0
    for char in _KINDS.sub(lambda kind: (kind[1] or kind[2] or "dyn").lower(), text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "," and not depth:
            found.append("")
        else:
            found[-1] += char
    return [each.strip() for each in found if each.strip()]
