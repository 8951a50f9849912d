"""Durations as Go writes them: ``10s``, ``1h30m``, ``1.5m``, ``250ms``."""

import re
from typing import Final

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST: Final = 64


def parse_duration(text: str) -> float | None:
    """Return seconds, or None if this is no duration. ``0`` needs no unit."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if not rest or len(rest) > _LONGEST:
        return None
    seconds, at = 0.0, 0
    while at < len(rest):
        found = _PART.match(rest, at)
        if found is None:
            return None
        seconds += float(found[1]) * _UNITS[found[2]]
        at = found.end()
    return sign * seconds


def write_duration(seconds: float) -> str:
    """Return the text of a whole or broken number of seconds, such as ``1h30m`` or ``1.5s``."""
    if seconds < 0:
        return "-" + write_duration(-seconds)
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{value:.0f}{unit}" for value, unit in ((hours, "h"), (minutes, "m")) if value]
    if rest or not parts:
        parts.append(f"{rest:.9f}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)
