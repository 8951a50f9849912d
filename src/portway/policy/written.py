"""Values as text, as JSON, and in order."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from portway.policy.duration import write_duration

LONGEST: Final = 1 << 20
"""Characters of a JSON text."""


def written(value: object) -> str:
    """Return a value as a text: times by RFC 3339 with seconds, lists and maps as JSON, null as nothing."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return _number(value)
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case datetime():
            return moment(value)
        case timedelta():
            return write_duration(value.total_seconds())
        case list() | dict():
            return to_json(value)
        case _:
            return str(value)


def moment(value: datetime) -> str:
    """Return a time by RFC 3339, in UTC, with whole seconds."""
    return value.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def to_json(value: Any) -> str:
    """Return compact JSON, keys in order. Raises ValueError if it is too long or JSON has no word for it."""
    try:
        return _bounded(_SORTING, value)
    except TypeError:  # keys of several types have no order
        return _bounded(_ENCODER, value)


def _bounded(encoder: json.JSONEncoder, value: Any) -> str:
    parts: list[str] = []
    size = 0
    for part in encoder.iterencode(value):
        size += len(part)
        if size > LONGEST:
            raise ValueError(f"the JSON text is longer than {LONGEST} characters")
        parts.append(part)
    return "".join(parts)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value) if math.isfinite(value) else {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")


class _Encoder(json.JSONEncoder):
    """JSON of all that an expression can hold."""

    def default(self, o: Any) -> Any:
        return written(o)


_ENCODER: Final = _Encoder(ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False)
_SORTING: Final = _Encoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False, sort_keys=True
)


def comparable(values: list[Any]) -> Callable[[Any], Any]:
    """Return the key to sort values by, if they can be compared with each other; ValueError if not."""
    for kind in (str, bytearray, bytes, datetime, timedelta, bool):
        if all(isinstance(each, kind) for each in values):
            return lambda each: each
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        return lambda each: each
    raise ValueError("the values of a list must be of one type to be sorted")


def weigh(value: Any) -> int:
    """Return about how many bytes a value takes."""
    match value:
        case str():
            return 50 + 4 * len(value) if not value.isascii() else 50 + len(value)
        case bytes() | bytearray():
            return 50 + len(value)
        case list():
            return 60 + sum(8 + weigh(each) for each in cast("list[Any]", value))
        case dict():
            entries = cast("dict[Any, Any]", value).items()
            return 60 + sum(16 + weigh(key) + weigh(each) for key, each in entries)
        case _:
            return 32
