"""How one line of the log looks, as text and as JSON; and which fields an event has there.

Text: ``2026-11-21 22:10:01.123 info     http request  method=GET host=a.example …``; a traceback
follows in indented lines. JSON: one object a line with ``time`` (RFC 3339, UTC), ``level``,
``event`` and the fields. Empty fields are left out.

A :class:`Form` knows how the parts of a line look. ``line`` puts together any line. ``access_line`` makes
that of a request or a connection, of which there are thousands a second, for a third of the cost: it is the
same line, but fields that are hardly ever new (host, addresses, user agent, identifiers) are written in
groups, and a group whose values were written before is not written again.
"""

import functools
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeGuard

from portway.model import event as events

Fields = Mapping[str, object]
Line = Callable[[float, str, str, Fields], str]
"""Renders Unix seconds, level, name and fields to one line without its end."""
Access = Callable[[events.HttpRequestComplete | events.TcpConnectionClosed], str]
"""Renders the event of a request or a connection to one line without its end."""

KEPT: Final = 256
"""Writings of one group that are kept."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""The names of levels, as an operator writes them."""

_BARE: Final = re.compile(r"[!#-<>-\[\]-~]+").fullmatch
_QUOTED: Final = re.compile(r"[ !#-\[\]-~]*").fullmatch
_encode: Final = json.JSONEncoder(default=repr).encode
"""Pure ASCII, so no character of a visitor's can steer a terminal."""

_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}

_NAMES: Final[Mapping[type, tuple[str, ...]]] = {
    events.HttpRequestComplete: (
        "method", "scheme", "host", "target", "status", "client_ip", "request_length", "response_length",
        "error_code", "aborted", "user_agent", "version", "tls_version", "connection_reused",
        "endpoint_id", "account_id", "policy_error",
    ),
    events.TcpConnectionClosed: (
        "url", "client_ip", "client_port", "server_name", "server_port", "bytes_in", "bytes_out", "error",
        "tls_version", "endpoint_id", "account_id", "policy_error",
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

_GROUPS: Final = {
    events.HttpRequestComplete: (
        (("method", "scheme", "host"), True),
        (("target",), False),
        (("status", "client_ip"), True),
        (("request_length", "response_length"), True),
        (
            ("error_code", "aborted", "user_agent", "version", "tls_version", "connection_reused",
             "endpoint_id", "account_id"),
            True,
        ),
        (("policy_error",), False),
    ),
    events.TcpConnectionClosed: (
        (("url", "client_ip"), True),
        (("client_port", "server_name", "server_port", "bytes_in", "bytes_out"), False),
        (("error", "tls_version", "endpoint_id", "account_id"), True),
        (("policy_error",), False),
    ),
}  # fmt: skip
"""The same fields in groups, and whether the values of a group were likely written before."""


class Form(NamedTuple):
    """How the parts of a line look."""

    moment: Callable[[float], str]
    """Renders Unix seconds, at the very beginning."""
    title: Callable[[str, str], str]
    """Renders level and name, which come next."""
    key: Callable[[str], str]
    """Renders the name of a field, up to its value."""
    value: Callable[[object], str]
    """Renders a value that is not empty."""
    before: str
    """Stands between the title and the first field."""
    between: str
    """Stands between two fields."""
    end: str
    indented: bool
    """A traceback follows in lines of its own."""

    def line(self, at: float, level: str, name: str, fields: Fields) -> str:
        """Render any line. A :data:`Line`."""
        pairs = [
            self.key(name) + self.value(value)
            for name, value in fields.items()
            if not (self.indented and name == "traceback")
        ]
        shown = self.before + self.between.join(pairs) if pairs else ""
        behind = _traceback(fields) if self.indented else ""
        return f"{self.moment(at)}{self.title(level, name)}{shown}{self.end}{behind}"


def make(form: str, *, colour: bool) -> Form:
    """Return the form "text" (with colour or not) or "json"."""
    if form == "json":
        return _JSON
    return _COLOURED if colour else _PLAIN


def access_line(form: Form) -> Access:
    """Return what renders requests and connections in a form: the line of their ``event_fields``."""
    kinds = {
        kind: (
            form.title("info", kind.line) + form.before,
            [_group(form, names, again=again) for names, again in groups],
        )
        for kind, groups in _GROUPS.items()
    }
    moment, between, value = form.moment, form.between, form.value
    key = form.key("duration_ms")

    @functools.lru_cache(maxsize=KEPT)
    def duration(milliseconds: float) -> str:
        return key + value(milliseconds)

    def line(event: events.HttpRequestComplete | events.TcpConnectionClosed) -> str:
        title, groups = kinds[type(event)]
        parts = [text for group in groups if (text := group(event))]
        parts.append(duration(_milliseconds(event.end_ts - event.start_ts)))
        return moment(event.end_ts) + title + between.join(parts) + form.end

    return line


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
    return round(seconds * 10_000) / 10


def _group(form: Form, names: tuple[str, ...], *, again: bool) -> Callable[[object], str]:
    """Return what writes some fields of an event, as far as they are not empty."""
    get: Callable[[object], Any] = attrgetter(*names)
    value, between = form.value, form.between
    keys = [form.key(name) for name in names]
    if len(keys) == 1:
        return lambda event: keys[0] + value(it) if (it := get(event)) else ""

    def written(values: tuple[object, ...]) -> str:
        return between.join([key + value(it) for key, it in zip(keys, values, strict=True) if it])

    write = functools.lru_cache(maxsize=KEPT)(written) if again else written
    return lambda event: write(get(event))


def _json_moment(at: float) -> str:
    return _json_millisecond(int(at * 1000))


def _json_title(level: str, name: str) -> str:
    return f', "level": {_encode(level)}, "event": {_encode(name)}'


def _json_key(name: str) -> str:
    return f"{_encode(name)}: "


def _json_value(value: object) -> str:
    return encode_basestring_ascii(value) if isinstance(value, str) else _encode(value)


def _plain_moment(at: float) -> str:
    return _plain_millisecond(int(at * 1000))


def _plain_title(level: str, name: str) -> str:
    return f"{level:<8} {printable(name)}"


def _plain_key(name: str) -> str:
    return f"{name}="


def _coloured_moment(at: float) -> str:
    return f"\x1b[2m{_plain_moment(at)[:-1]}\x1b[0m "


def _coloured_title(level: str, name: str) -> str:
    return f"\x1b[{_COLOURS.get(level, '0')}m{level:<8}\x1b[0m \x1b[1m{printable(name)}\x1b[0m"


def _coloured_key(name: str) -> str:
    return f"\x1b[2m{name}=\x1b[0m"


# Nearly every line has the second of the line before, and of a burst many have its millisecond.


@functools.lru_cache(maxsize=8)
def _json_millisecond(number: int) -> str:
    second, rest = divmod(number, 1000)
    return f'{{"time": "{_utc_second(second)}.{rest:03}Z"'


@functools.lru_cache(maxsize=8)
def _plain_millisecond(number: int) -> str:
    second, rest = divmod(number, 1000)
    return f"{_local_second(second)}.{rest:03} "


@functools.lru_cache(maxsize=8)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@functools.lru_cache(maxsize=8)
def _local_second(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def _value(value: object) -> str:
    if value is True:
        return "yes"
    if isinstance(value, int):
        return f"{value}"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else str(value)
    if _BARE(text):
        return text
    if _QUOTED(text):
        return f'"{text}"'
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _traceback(fields: Fields) -> str:
    """Indent every line, so that none can be taken for a line of the log."""
    text = fields.get("traceback")
    if not isinstance(text, str):
        return ""
    return "".join("\n    | " + printable(line) for line in text.splitlines())


_PLAIN: Final = Form(_plain_moment, _plain_title, _plain_key, _value, "  ", " ", "", indented=True)
_COLOURED: Final = Form(
    _coloured_moment, _coloured_title, _coloured_key, _value, "  ", " ", "", indented=True
)
_JSON: Final = Form(_json_moment, _json_title, _json_key, _json_value, ", ", ", ", "}", indented=False)
