"""Functions on lists."""

from typing import Any, Final, cast

from portway.policy.functions import Function, FunctionError, bounded
from portway.policy.written import comparable

RANGE: Final = 1000
"""Numbers that lists.range makes at most."""


def _join(parts: list[Any], separator: str = "") -> str:
    texts: list[str] = []
    size = 0
    for part in parts:
        if not isinstance(part, str):
            raise FunctionError("join wants a list of texts")
        size += len(part) + len(separator)
        if size > (1 << 20) + len(separator):
            raise FunctionError("the result is too large")
        texts.append(part)
    return separator.join(texts)


def _slice(values: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(values):
        raise FunctionError(f"{start} to {end} is outside of a list of {len(values)}")
    return values[start:end]


def _flatten(values: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise FunctionError("the depth of flatten may not be negative")
    for _ in range(min(depth, 32)):
        if not any(isinstance(each, list) for each in values):
            break
        flat: list[Any] = []
        for each in values:
            if isinstance(each, list):
                flat += each
            else:
                flat.append(each)
        values = bounded(flat)
    return values


def _sort(values: list[Any]) -> list[Any]:
    return sorted(values, key=comparable(values))


def _sort_by(values: list[Any], keys: list[Any]) -> list[Any]:
    rank = comparable(keys)
    order = sorted(range(len(values)), key=lambda index: rank(keys[index]))
    return [values[index] for index in order]


def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    seen: set[object] = set()
    for each in values:
        key: object = _key(each)
        if key not in seen:
            seen.add(key)
            found.append(each)
    return found


def _key(value: Any) -> object:
    """Return something hashable that is equal for equal values."""
    match value:
        case list():
            return ("list", *(_key(each) for each in cast("list[Any]", value)))
        case dict():
            entries = cast("dict[Any, Any]", value).items()
            return ("map", frozenset((_key(key), _key(each)) for key, each in entries))
        case bytearray():
            return bytes(value)
        case _:
            return (isinstance(value, bool), value)


def _range(count: int) -> list[int]:
    if count > RANGE:
        raise FunctionError(f"lists.range makes at most {RANGE} numbers")
    return list(range(count))


FUNCTIONS: Final = [
    Function("join", ("list(dyn)",), "string", _join, method=True),
    Function("join", ("list(dyn)", "string"), "string", _join, method=True),
    Function("slice", ("list(dyn)", "int", "int"), "list(dyn)", _slice, method=True),
    Function("flatten", ("list(dyn)",), "list(dyn)", _flatten, method=True),
    Function("flatten", ("list(dyn)", "int"), "list(dyn)", _flatten, method=True),
    Function("sort", ("list(dyn)",), "list(dyn)", _sort, method=True),
    Function("distinct", ("list(dyn)",), "list(dyn)", _distinct, method=True),
    Function("lists.range", ("int",), "list(int)", _range),
    Function("portway_sort_by", ("list(dyn)", "list(dyn)"), "list(dyn)", _sort_by),
]
