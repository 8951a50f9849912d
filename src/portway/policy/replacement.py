"""What takes the place of a match: Go's ``$1`` and ``$name``, by the rules of Regexp.Expand.

``$name`` takes the longest run of letters, digits and underscores, so ``$1x`` is the group named ``1x``;
``$$`` is a dollar. A group that does not exist, or took no part in the match, is nothing; a dollar before
anything else stands for itself. Everything is bytes, UTF-8, as bodies are. Names that are no groups may mean
something else: whoever makes the replacement gives a function that knows.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, Protocol

_REFERENCE: Final = re.compile(rb"\$(?:(\$)|([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})")
_NAME: Final = re.compile(r"\$([a-z]\w*)", re.ASCII).sub


class Match(Protocol):
    """A match of an expression."""

    def group(self, group: int | str = 0, /) -> bytes | None:
        """Return what a group took."""
        ...

    def start(self) -> int:
        """Return where the match begins."""
        ...

    def end(self) -> int:
        """Return where it ends."""
        ...


class Pattern(Protocol):
    """A compiled expression; RE2's."""

    @property
    def groups(self) -> int:
        """How many groups it has."""
        ...

    @property
    def groupindex(self) -> dict[bytes, int] | dict[str, int]:
        """Numbers of named groups."""
        ...

    def search(self, text: bytes, /) -> Match | None:
        """Find the first match."""
        ...

    def finditer(self, text: bytes, /) -> Iterator[Match]:
        """Find all matches that do not overlap."""
        ...


Names = Callable[[str], str | None]
"""What a name means that is no group; None: nothing."""


def expand_names(text: str, names: Names) -> str:
    """Replace the names in a text that stands for no match; what is none of them stays as it is."""

    def value(found: re.Match[str]) -> str:
        known = names(found[1])
        return found[0] if known is None else known

    return _NAME(value, text)


class Replacement:
    """A replacement text, bound to the expression whose groups it names."""

    __slots__ = ("_parts",)

    def __init__(self, text: str, pattern: Pattern, others: Names | None = None) -> None:
        """Read the text; ``others`` knows names that are no groups."""
        self._parts = list(_parts(text.encode("utf-8", "surrogatepass"), pattern, others or _nothing))

    def expand(self, match: Match) -> bytes:
        """Return what takes the match's place."""
        return b"".join(part if isinstance(part, bytes) else match.group(part) or b"" for part in self._parts)

    def first(self, pattern: Pattern, text: bytes) -> tuple[bytes, Match | None]:
        """Replace the first match; return the new text, and the match if there was one."""
        match = pattern.search(text)
        if match is None:
            return text, None
        return text[: match.start()] + self.expand(match) + text[match.end() :], match

    def all(self, pattern: Pattern, text: bytes, most: int) -> tuple[bytes, Match | None]:
        """Replace every match; return the new text, and the first match if there was one.

        Raises OverflowError when the new text would be longer than ``most`` bytes.
        """
        out: list[bytes] = []
        pos = size = 0
        first: Match | None = None
        for match in pattern.finditer(text):
            first = first or match
            piece = text[pos : match.start()] + self.expand(match)
            size += len(piece)
            if size > most:
                raise OverflowError(f"the replaced text is longer than {most} bytes")
            out.append(piece)
            pos = match.end()
        if first is None:
            return text, None
        out.append(text[pos:])
        if size + len(text) - pos > most:
            raise OverflowError(f"the replaced text is longer than {most} bytes")
        return b"".join(out), first


def _nothing(_name: str) -> None:
    """Know no other names."""


def _parts(text: bytes, pattern: Pattern, others: Names) -> Iterator[bytes | int]:
    """Cut a replacement into literal bytes and numbers of groups."""
    names = {_name(name): number for name, number in pattern.groupindex.items()}
    pos = 0
    for found in _REFERENCE.finditer(text):
        if found.start() > pos:
            yield text[pos : found.start()]
        pos = found.end()
        dollar, bare, braced = found.groups()
        name: bytes = bare or braced or b""
        if dollar:
            yield b"$"
        elif name.isdigit() and len(name) < 5 and int(name) <= pattern.groups:
            yield int(name)
        elif name in names:
            yield names[name]
        elif (other := others(name.decode("ascii"))) is not None:
            yield other.encode("utf-8", "surrogatepass")
    if pos < len(text):
        yield text[pos:]


def _name(name: bytes | str) -> bytes:
    return name.encode() if isinstance(name, str) else name
