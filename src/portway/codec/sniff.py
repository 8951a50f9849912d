"""What a text is, by its first characters: the Content-Type of an answer whose author named none.

Only what a policy's author would write by hand is told apart (HTML, XML, JSON, plain text), in the spirit of
the MIME Sniffing standard: by what stands at the very beginning, never by searching the rest.
"""

import json
import re
from typing import Final

HTML: Final = "text/html; charset=utf-8"
XML: Final = "text/xml; charset=utf-8"
JSON: Final = "application/json"
PLAIN: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"

_TAGS: Final = (
    "!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p"
    "|main|section|span|ul|svg"
)
_HTML: Final = re.compile(rf"(?:<(?:{_TAGS})(?:[\s>/])|<!--)", re.ASCII | re.IGNORECASE).match
_BINARY: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]").search
_LOOK: Final = 512
"""Characters of the beginning that are looked at for signs of binary data."""


def content_type(text: str) -> str:
    """Return a media type for a text; of nothing at all it is plain text."""
    start = text.lstrip(" \t\r\n\f")
    if _HTML(start):
        return HTML
    if start.startswith("<?xml"):
        return XML
    if start[:1] in ("{", "[") and _is_json(text):
        return JSON
    return BINARY if _BINARY(text[:_LOOK]) else PLAIN


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
