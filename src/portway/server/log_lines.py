"""How one line of the log looks, as text and as JSON; and which fields an event has there.

Text: ``2026-11-21 22:10:01.123 info     http request  method=GET host=a.example …``; a traceback
follows in indented lines. JSON: one object a line with ``time`` (RFC 3339, UTC), ``level``,
``event`` and the fields. Empty fields are left out.
"""

import functools
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Final, TypeGuard

from portway.model import event as events

Fields = Mapping[str, object]
Line = Callable[[float, str, str, Fields], str]
"""Renders Unix seconds, level, name and fields to one line without its end."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""The names of levels, as an operator writes them."""

_BARE: Final = re.compile(r"[!#-<>-\[\]-~]+")
_encode: Final = json.JSONEncoder(default=repr).encode
"""Pure ASCII, so no character of a visitor's can steer a terminal."""

_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}

_NAMES: Final[Mapping[type, tuple[str, ...]]] = {
    events.HttpRequestComplete: (
        "method", "scheme", "host", "target", "status", "client_ip", "request_length", "response_length",
        "error_code", "aborted", "user_agent", "version", "tls_version", "connection_reused",
        "endpoint_id", "account_id",
    ),
    events.TcpConnectionClosed: (
        "url", "client_ip", "client_port", "server_name", "server_port", "bytes_in", "bytes_out", "error",
        "tls_version", "endpoint_id", "account_id",
    ),
    events.AgentSessionStarted: (
        "error", "agent_ip", "user_agent", "os", "arch", "transport", "metadata", "description", "region",
        "session_id", "credential_id", "account_id",
    ),
    events.AgentSessionStopped: ("error", "agent_ip", "session_id", "credential_id", "account_id"),
    events.EndpointOnline: (
        "url", "labels", "name", "forwards_to", "binding", "pooling_enabled", "description", "metadata",
        "endpoint_id", "session_id", "account_id",
    ),
    events.EndpointUpdated: (
        "url", "name", "pooling_enabled", "description", "metadata", "endpoint_id", "session_id",
        "account_id",
    ),
    events.EndpointOffline: ("url", "reason", "endpoint_id", "session_id", "account_id"),
}  # fmt: skip
"""The fields of each event, most telling first."""


def make(form: str, *, colour: bool) -> Line:
    """Return the renderer of "text" (with colour or not) or "json"."""
    if form == "json":
        return _json
    return _coloured if colour else _plain


def is_known(event: object) -> TypeGuard[events.Event]:
    """Tell whether something is an event that can be shown."""
    return type(event) in _NAMES


def level_of(event: events.Event) -> str:
    """Return an event's level: a refused agent is a warning, all else is information."""
    return "warning" if isinstance(event, events.AgentSessionStarted) and event.error else "info"


def event_fields(event: events.Event) -> tuple[float, dict[str, object]]:
    """Return when an event was complete and its fields."""
    fields: dict[str, object] = {}
    for name in _NAMES[type(event)]:
        value: object = getattr(event, name)
        if value:
            fields[name] = value
    match event:
        case events.HttpRequestComplete() | events.TcpConnectionClosed():
            fields["duration_ms"] = _milliseconds(event.end_ts - event.start_ts)
            return event.end_ts, fields
        case events.AgentSessionStarted():
            return event.started_at, fields
        case events.AgentSessionStopped():
            fields["duration_ms"] = _milliseconds(event.stopped_at - event.started_at)
            return event.stopped_at, fields
        case events.EndpointOnline():
            return event.online_at, fields
        case events.EndpointUpdated():
            return event.updated_at, fields
        case events.EndpointOffline():
            return event.offline_at, fields


def record_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a stdlib record: who logged, what it carries, the traceback if there is one.

    What it carries is given as ``extra={"fields": {…}}``.
    """
    carried: Mapping[str, object] = getattr(record, "fields", {})
    fields: dict[str, object] = {"logger": record.name, **carried}
    if record.exc_info:
        fields["traceback"] = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return fields


def printable(text: str) -> str:
    """Escape every character that is not plainly visible, line ends and terminal controls above all."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _json(at: float, level: str, name: str, fields: Fields) -> str:
    moment = f"{_utc_second(int(at))}.{int(at * 1000) % 1000:03}Z"
    return _encode({"time": moment, "level": level, "event": name, **fields})


def _plain(at: float, level: str, name: str, fields: Fields) -> str:
    return f"{_local(at)} {level:<8} {printable(name)}{_pairs(fields, '{}={}')}{_traceback(fields)}"


def _coloured(at: float, level: str, name: str, fields: Fields) -> str:
    dim = "\x1b[2m{}=\x1b[0m{}"
    shown = f"\x1b[{_COLOURS.get(level, '0')}m{level:<8}\x1b[0m"
    return (
        f"\x1b[2m{_local(at)}\x1b[0m {shown} \x1b[1m{printable(name)}\x1b[0m"
        f"{_pairs(fields, dim)}{_traceback(fields)}"
    )


# Nearly every line has the second of the line before.


@functools.lru_cache(maxsize=8)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=8)
def _local_second(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _local(at: float) -> str:
    return f"{_local_second(int(at))}.{int(at * 1000) % 1000:03}"


def _pairs(fields: Fields, form: str) -> str:
    pairs = [form.format(key, _value(value)) for key, value in fields.items() if key != "traceback"]
    return "  " + " ".join(pairs) if pairs else ""


def _value(value: object) -> str:
    if value is True:
        return "yes"
    text = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    if _BARE.fullmatch(text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _traceback(fields: Fields) -> str:
    """Indent every line, so that none can be taken for a line of the log."""
    text = fields.get("traceback")
    if not isinstance(text, str):
        return ""
    return "".join("\n    | " + printable(line) for line in text.splitlines())
