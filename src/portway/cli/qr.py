"""A URL as a QR code that a camera reads off the terminal: two rows of modules in one line of text."""

from functools import lru_cache

QUIET = 1
"""Modules of margin; the standard's four would not fit beside anything, and cameras do with one."""

_HALVES = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
"""(upper is dark, lower is dark) → a character in the terminal's foreground, which stands for light."""


@lru_cache(maxsize=32)
def code(text: str) -> tuple[str, ...]:
    """Return the lines of the code. Dark modules are left to the terminal's background."""
    import segno

    rows = [list(map(bool, row)) for row in segno.make_qr(text, error="l").matrix]
    width = len(rows[0]) + 2 * QUIET
    light = [[False] * width for _ in range(QUIET)]
    full = [*light, *([False] * QUIET + row + [False] * QUIET for row in rows), *light]
    if len(full) % 2:
        full.append([False] * width)
    return tuple(
        "".join(_HALVES[upper, lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(full[::2], full[1::2], strict=True)
    )
