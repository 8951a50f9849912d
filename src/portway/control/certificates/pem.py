"""PEM as people upload it (RFC 7468): blocks between BEGIN and END lines, anything around them ignored.

The text is scanned once from left to right, so a hostile one costs its length and no more.
"""

import base64
import binascii
from typing import Final

import msgspec

_BEGIN: Final = "-----BEGIN "
_END: Final = "-----END "
_DASHES: Final = "-----"
_LABEL_LIMIT: Final = 64


class Block(msgspec.Struct, frozen=True):
    """One block. ``headers``: it has lines such as ``Proc-Type``, which RFC 7468 knows no more."""

    label: str
    content: str
    headers: bool

    def __repr__(self) -> str:
        """Show what it is, never what it holds: it may be a key."""
        return f"Block({self.label!r}, {len(self.content)} characters)"

    def der(self) -> bytes:
        """Return what the block encodes. Raises ValueError when it is no base64."""
        try:
            return base64.b64decode("".join(self.content.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("not base64") from error

    @property
    def text(self) -> str:
        """The block as PEM again; its headers, if any, stay where they were."""
        return f"{_BEGIN}{self.label}{_DASHES}\n{self.content.strip()}\n{_END}{self.label}{_DASHES}\n"


def blocks(text: str) -> list[Block]:
    """Return all blocks of a text; none is no error. Raises ValueError when one is not ended."""
    found: list[Block] = []
    position = 0
    while (start := text.find(_BEGIN, position)) >= 0:
        label_start = start + len(_BEGIN)
        label_end = text.find(_DASHES, label_start, label_start + _LABEL_LIMIT)
        if label_end < 0:
            raise ValueError("a BEGIN line is cut off")
        label = text[label_start:label_end]
        content_start = label_end + len(_DASHES)
        # The next line of dashes must be this block's own END.
        content_end = text.find(_DASHES, content_start)
        last_line = f"{_END}{label}{_DASHES}"
        if content_end < 0 or not text.startswith(last_line, content_end):
            raise ValueError(f"the block {label!r} has no end")
        content = text[content_start:content_end]
        found.append(Block(label, content, ":" in content))
        position = content_end + len(last_line)
    return found
