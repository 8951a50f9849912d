"""Filters of event sources: a condition in CEL over ``ev``, the payload of a traffic event.

A filter may name every field of its type, and nothing else: ``ev.conn.client_ip != '192.0.2.1'``. What it
names is checked when it is compiled, so a slip is not found out by events that never come.
"""

from typing import Final

from portway.errors import Error
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.model.event_payload import Traffic, traffic
from portway.model.event_types import FIELDS, HTTP, TCP
from portway.policy.expression import CompileError, Condition, EvaluationError
from portway.policy.limits import DEFAULT_LIMITS
from portway.policy.said import is_unfit
from portway.policy.syntax import Syntax

NAME: Final = "ev"
INVALID: Final = 5404
UNKNOWN: Final = 5406

_HOPELESS: Final = ("it is no condition", "invalid regular expression", "Iteration budget")
"""How errors begin that say nothing of the event."""

_BLANK: Final[dict[str, Traffic]] = {
    HTTP: HttpRequestComplete(
        client_ip="", start_ts=0.0, end_ts=0.0, scheme="", host="", method="", target="", status=0
    ),
    TCP: TcpConnectionClosed(client_ip="", start_ts=0.0, end_ts=0.0),
}

_LEAVES_WITH_PARTS: Final = ("http.request.headers", "http.response.headers", "traffic_policy.logs")


def compile_filter(source: str, kind: str) -> Condition:
    """Compile the filter of a source of this type. Raises Error 5404 or 5406."""
    try:
        made = Condition(source, NAME, DEFAULT_LIMITS)
    except CompileError as error:
        raise Error(
            f"The filter is no condition: {error.message} (character {error.offset}).", INVALID
        ) from error
    unknown = next((path for path in named(made.tree) if not _is_known(path, kind)), None)
    if unknown is not None:
        raise Error(f"Events of type {kind} have no field {unknown!r} that a filter could look at.", UNKNOWN)
    return made


def check_filter(source: str, kind: str) -> None:
    """Refuse what would fail for every event too. Raises Error 5404 or 5406.

    It is tried on an event in which nothing is known. That a header field is not there, or that a text is no
    number, may be otherwise in the next one.
    """
    made = compile_filter(source, kind)
    try:
        made.holds(traffic(_BLANK[kind]))
    except EvaluationError as error:
        if str(error).startswith(_HOPELESS) or is_unfit(str(error)):
            raise Error(f"The filter would fail for every event: {error}.", INVALID) from error


def named(tree: Syntax) -> list[str]:
    """Return the fields that an expression names, dotted, the longest of each chain."""
    words = tree.dotted()
    if words:
        return [".".join(words[1:])] if words[0] == NAME and len(words) > 1 else []
    return [path for child in tree.children for path in named(child)]


def _is_known(path: str, kind: str) -> bool:
    fields = FIELDS[kind]
    if path in fields or any(field.startswith(f"{path}.") for field in fields):
        return True
    return any(path.startswith(f"{each}.") for each in _LEAVES_WITH_PARTS if each in fields)
