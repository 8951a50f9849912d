"""String literals of CEL: where one ends. Scanner and interpolation must agree on that."""

from typing import Final

QUOTES: Final = ("'''", '"""', "'", '"')


def end_of_literal(text: str, at: int, *, raw: bool) -> int | None:
    """Return the position behind the literal whose quote stands at ``at``, or None if it has no end.

    Without three quotes a literal ends within its line. In a raw one a backslash is a character.
    """
    quote = next(each for each in QUOTES if text.startswith(each, at))
    position = at + len(quote)
    while position < len(text):
        if text.startswith(quote, position):
            return position + len(quote)
        if text[position] == "\\" and not raw:
            position += 2
            continue
        if text[position] in "\r\n" and len(quote) == 1:
            return None
        position += 1
    return None
