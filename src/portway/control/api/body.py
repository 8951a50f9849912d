"""The rules of request bodies, checked before any field is looked at.

A body is one JSON object, in UTF-8, without anything on which parsers differ: no name twice in one
object, no NaN, no lone surrogate, no NUL (which PostgreSQL cannot store).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from email.message import Message
from itertools import count
from typing import Any, Final, cast

from portway.control.api.errors import Refusal
from portway.errors import Error

BODY_LIMIT: Final = 1 << 20
"""Bytes of a body; more is 413 with ERR_NGROK_212."""
DEPTH_LIMIT: Final = 32
"""Levels of nesting; more is ERR_NGROK_213."""
VALUES_LIMIT: Final = 100_000
"""Values in a body; more is ERR_NGROK_213."""
BODY_TIMEOUT: Final = 60.0
"""Seconds for a whole body; then 408 with ERR_NGROK_212."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


async def read(receive: Receive, length: str) -> bytes:
    """Read a whole body; ``length`` is what Content-Length says, "" if it says nothing.

    Raises Refusal 413 when it is too long, 408 when it does not come, and Error 212 when the client
    has gone.
    """
    if length.isascii() and length.isdigit() and (len(length) > 9 or int(length) > BODY_LIMIT):
        raise _too_long()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Error("The body ended before its time.", 212)
                body += message.get("body", b"")
                if len(body) > BODY_LIMIT:
                    raise _too_long()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {BODY_TIMEOUT:g} s.", 212) from None


def check_type(content_type: str) -> None:
    """Check the type of a body that is there. Raises Error 216 without one, 210 for one we do not take."""
    if not content_type.strip():
        raise Error("The request has a body but no Content-Type header; send application/json.", 216)
    message = Message()
    message["content-type"] = content_type
    charset = str(message.get_param("charset", "utf-8")).lower()
    if message.get_content_type() != "application/json" or charset not in {"utf-8", "utf8", "us-ascii"}:
        raise Error(f"Bodies of type {content_type[:100]!r} are not taken; send application/json.", 210)


def parse(body: bytes) -> dict[str, object]:
    """Read the object that a body is. Raises Error 213, or 215 for a text that cannot be stored."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_number)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Error(f"The body is not JSON: {str(error)[:200]}.", 213) from error
    if not isinstance(value, dict):
        raise Error("The body must be a JSON object.", 213)
    for number, text in enumerate(_texts(cast("object", value)), 1):
        if number > VALUES_LIMIT:
            raise Error(f"The body holds more than {VALUES_LIMIT} values.", 213)
        if text and ("\0" in text or any("\ud800" <= each <= "\udfff" for each in text)):
            raise Error("A text of the body holds a character that is not allowed.", 215)
    return cast("dict[str, object]", value)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has the same name twice")
    return value


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number")


def _texts(root: object) -> Iterator[str]:
    """Yield every text of a value, "" for whatever is none; names too. Raises Error when it is too deep."""
    level: list[object] = [root]
    for depth in count():
        if not level:
            return
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inside = cast("dict[str, object]", value)
                yield from inside
                below += inside.values()
            elif isinstance(value, list):
                below += cast("list[object]", value)
            yield value if isinstance(value, str) else ""
            if isinstance(value, dict | list) and depth == DEPTH_LIMIT:
                raise _too_deep()
        level = below


def _too_deep() -> Error:
    return Error(f"The body is nested more than {DEPTH_LIMIT} levels deep.", 213)


def _too_long() -> Refusal:
    return Refusal(413, f"The body is longer than {BODY_LIMIT} bytes.", 212)
