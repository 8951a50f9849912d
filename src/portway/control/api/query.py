"""The rules of query strings, checked before any of their values is looked at."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from portway.errors import Error

QUERY_LIMIT: Final = 16_384
"""Bytes of a query string; more is ERR_NGROK_230."""

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def check(query: bytes, known: Mapping[str, bool]) -> None:
    """Check a raw query string against the parameters of an operation (name to: may be repeated).

    Raises Error 230 when it is malformed, 231 for an unknown parameter, 232 for one given twice.
    """
    if len(query) > QUERY_LIMIT:
        raise Error(f"The query string is longer than {QUERY_LIMIT} bytes.", 230)
    try:
        text = query.decode("ascii")
    except UnicodeDecodeError as error:
        raise Error("The query string holds a character that must be escaped.", 230) from error
    if _BAD_ESCAPE.search(text):
        raise Error("The query string holds a % that is no escape.", 230)
    seen: set[str] = set()
    for pair in text.split("&"):
        if not pair:
            continue
        name, _, value = (_decoded(part) for part in pair.partition("="))
        if "\0" in value:
            raise Error("The query string holds a NUL character.", 230)
        if name not in known:
            raise Error(f"The query parameter {name[:100]!r} is unknown here.", 231)
        if name in seen and not known[name]:
            raise Error(f"The query parameter {name!r} is given more than once.", 232)
        seen.add(name)


def _decoded(part: str) -> str:
    try:
        return unquote_to_bytes(part.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise Error("The query string is not UTF-8.", 230) from error
