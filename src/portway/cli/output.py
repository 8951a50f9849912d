"""What the program prints: errors, and one log line per event in three formats.

`term` is for people, `logfmt` for files and grep, `json` for machines. Control characters in
values are escaped, so that a visitor cannot write lines of his own into somebody's log.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol, TextIO

import click

from portway.errors import Error, PortwayError
from portway.net.output import Output

LEVELS = ("debug", "info", "warn", "error", "crit")
FORMATS = ("term", "logfmt", "json")

Field = str | int | float | bool | None

_COLOURS = {"debug": "bright_black", "info": "green", "warn": "yellow", "error": "red", "crit": "magenta"}
_PLAIN = re.compile(r"[^\s\"=\\]+\Z")


def print_error(error: PortwayError, stream: TextIO | None = None) -> None:
    """Print an error for a person: what happened; where it has a code, that alone, and who explains it."""
    out = stream or sys.stderr
    text = error.message if isinstance(error, Error) else str(error)
    colour = None if colours() else False
    click.echo(
        click.style("error: ", fg="red", bold=True) + printable(text, keep="\n"), file=out, color=colour
    )
    if isinstance(error, Error) and error.code:
        click.echo(click.style(error.code, bold=True), file=out, color=colour)
        click.echo(f"What to do: portway explain {error.code}", file=out)


def colours() -> bool:
    """Tell whether the user bears colours: NO_COLOR, whatever it holds, says no."""
    return not os.environ.get("NO_COLOR")


def printable(text: str, keep: str = "") -> str:
    """Escape every control character of a text but those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


class TextSink(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """Take some text."""
        ...

    def isatty(self) -> bool:
        """Whether a person reads along."""
        ...


class PatientSink:
    """Text for a descriptor whose reader may stop reading: the agent must not stop with it."""

    def __init__(self, descriptor: int) -> None:
        """Take a descriptor that stays open."""
        self._output = Output(descriptor)
        self._isatty = os.isatty(descriptor)

    def write(self, text: str, /) -> None:
        """Write, or keep for later."""
        self._output.write(text.encode("utf-8", "replace"))

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._isatty

    def close(self) -> None:
        """Give the reader a last moment."""
        self._output.close()


class LogLines:
    """Writes log records as lines to one sink."""

    def __init__(
        self,
        sink: TextSink,
        form: str,
        level: str = "info",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Take a sink, one of FORMATS, the lowest level to write and a clock."""
        self._sink = sink
        self._threshold = LEVELS.index(level)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._render = {"term": self._term, "logfmt": _logfmt, "json": _json}[form]
        self._colour = form == "term" and sink.isatty() and colours()

    def log(self, level: str, message: str, **fields: Field) -> None:
        """Write one record; a record below the threshold costs nothing."""
        if LEVELS.index(level) < self._threshold:
            return
        self._sink.write(self._render(self._clock(), level, message, fields) + "\n")

    def _term(self, now: datetime, level: str, message: str, fields: Mapping[str, Field]) -> str:
        tag = level.upper().ljust(5)
        if self._colour:
            tag = click.style(tag, fg=_COLOURS[level])
        rest = " ".join(f"{key}={_word(value)}" for key, value in fields.items())
        return f"{now:%H:%M:%S} {tag} {printable(message)}" + (f"  {rest}" if rest else "")


def _stamp(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds")


def _word(value: Field) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else str(value)
    return (
        text
        if _PLAIN.match(text) and text.isprintable()
        else json.dumps(text, ensure_ascii=not text.isprintable())
    )


def _logfmt(now: datetime, level: str, message: str, fields: Mapping[str, Field]) -> str:
    pairs = {"t": _stamp(now), "lvl": level, "msg": message, **fields}
    return " ".join(f"{key}={_word(value)}" for key, value in pairs.items())


def _json(now: datetime, level: str, message: str, fields: Mapping[str, Field]) -> str:
    return json.dumps({"t": _stamp(now), "lvl": level, "msg": message, **fields}, separators=(",", ":"))
