"""The two free texts that everything has: a description for people, metadata for programs."""

from typing import Final

from portway.errors import Error

DESCRIPTION_LIMIT: Final = 255
"""Bytes of a description."""
METADATA_LIMIT: Final = 4096
"""Bytes of metadata."""


def check(description: str | None, metadata: str | None, codes: tuple[int, int]) -> None:
    """Refuse texts that are too long, each with its code of two. None is not given, so it is fine."""
    for what, text, limit, code in (
        ("description", description, DESCRIPTION_LIMIT, codes[0]),
        ("metadata", metadata, METADATA_LIMIT, codes[1]),
    ):
        if text is not None and len(text.encode()) > limit:
            raise Error(f"The {what} is longer than {limit} bytes.", code)


def given(**texts: str | None) -> dict[str, str]:
    """Return those that were given, by name."""
    return {name: text for name, text in texts.items() if text is not None}
