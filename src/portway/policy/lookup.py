"""The tables of a message: header fields, trailers, cookies, query parameters, by name.

Names of header fields ignore case; those of cookies and parameters do not. What is not there is an
empty list. Bytes that are no UTF-8 are read as Latin-1, which has a character for each of them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from portway.policy.facts import Facts, Fields

MOST: Final = 1000
"""Query parameters or cookies that are looked at."""


def text(value: bytes) -> str:
    """Return bytes of the wire as text."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def lookup(table: str, name: str, facts: "Facts") -> list[object]:
    """Return what a table of the request or the response has under a name."""
    if table.endswith("cookies"):
        return list(cookies(table, facts).get(name, []))
    if table == "req.url.query_params":
        return [value for key, value in _pairs(facts) if key == name]
    wanted = name.lower().encode()
    return [text(value) for key, value in _fields(table, facts) if key.lower() == wanted]


def whole(table: str, facts: "Facts") -> dict[str, list[object]]:
    """Return a whole table; names of header fields in lower case."""
    if table.endswith("cookies"):
        return cookies(table, facts)
    pairs = _pairs(facts) if table == "req.url.query_params" else _texts(_fields(table, facts))
    found: dict[str, list[object]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def cookies(table: str, facts: "Facts") -> dict[str, list[object]]:
    """Return the cookies of the request, or those that the response sets, by name."""
    found: dict[str, list[object]] = {}
    if table == "req.cookies":
        for name, value in _request_cookies(facts):
            found.setdefault(name, []).append({"name": name, "value": value})
        return found
    made = [
        set_cookie(text(value))
        for key, value in _fields("res.headers", facts)
        if key.lower() == b"set-cookie"
    ]
    for each in sorted(made[:MOST], key=lambda cookie: -len(str(cookie["path"]))):
        found.setdefault(str(each["name"]), []).append(each)
    return found


def _fields(table: str, facts: "Facts") -> "Fields":
    message = facts.response if table.startswith("res.") else facts.request
    if message is None:
        return []
    return message.trailers if table.endswith("trailers") else message.fields


def _texts(fields: "Fields") -> Iterable[tuple[str, str]]:
    return ((text(key).lower(), text(value)) for key, value in fields)


def _pairs(facts: "Facts") -> list[tuple[str, str]]:
    """Return the query's parameters in order. A part without "=" has the value "". No part is refused."""
    request = facts.request
    query = request.target.partition("#")[0].partition("?")[2] if request is not None else ""
    found: list[tuple[str, str]] = []
    for part in query.split("&", MOST)[:MOST]:
        if part:
            key, _, value = part.partition("=")
            found.append((unquote_plus(key), unquote_plus(value)))
    return found


def _request_cookies(facts: "Facts") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in _fields("req.headers", facts):
        if key.lower() != b"cookie":
            continue
        for part in text(value).split(";", MOST)[:MOST]:
            name, equals, content = part.strip().partition("=")
            if equals and name:
                found.append((name, _unquoted(content)))
    return found[:MOST]


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def set_cookie(line: str) -> dict[str, object]:
    """Return the cookie of one Set-Cookie field (RFC 6265 §5.2). What it does not say is absent or empty."""
    first, *attributes = line.split(";")
    name, _, value = first.strip().partition("=")
    cookie: dict[str, object] = {
        "name": name.strip(), "value": _unquoted(value.strip()), "domain": "", "path": "", "same_site": "",
        "secure": False, "http_only": False,
    }  # fmt: skip
    others: dict[str, object] = {}
    for attribute in attributes[:50]:
        key, _, content = attribute.strip().partition("=")
        _set(cookie, others, key.strip(), content.strip())
    cookie["unparsed_attributes"] = others
    return cookie


def _set(cookie: dict[str, object], others: dict[str, object], key: str, value: str) -> None:
    match key.lower():
        case "domain" | "path":
            cookie[key.lower()] = value
        case "samesite":
            cookie["same_site"] = value
        case "secure":
            cookie["secure"] = True
        case "httponly":
            cookie["http_only"] = True
        case "max-age" if value.lstrip("-").isdecimal() and len(value) < 12:
            cookie["max_age"] = timedelta(seconds=int(value))
        case "expires" if (moment := http_date(value)) is not None:
            cookie["expires"] = moment
        case "":
            pass
        case _:
            others[key] = value


def http_date(value: str) -> datetime | None:
    """Return the time of an HTTP date, or None if it is none."""
    # Half of the imports of this package, for what few policies ask.
    from email.utils import parsedate_to_datetime

    try:
        found = parsedate_to_datetime(value.replace("-", " ") if "," in value else value)
    except (ValueError, TypeError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
