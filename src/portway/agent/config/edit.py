"""Changing one value of a file in its text: every other byte stays, comments among them.

The parsed file tells where each value stands, so a value is written over the old one, or as a line of its
own where the key was missing. What came out is read again before it is kept, and is kept at once or not at
all: written beside the file, then renamed over it.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from portway.agent.config.document import content, parse
from portway.codec.document import Node
from portway.errors import ConfigError

DEFAULT_VERSION: Final = 3

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@%+-]*(?::[0-9A-Za-z_./@%+-]+)*", re.ASCII)
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
_NAMES: Final = {
    "authtoken": (("authtoken",), ("agent", "authtoken")),
    "api_key": (("api_key",), ("agent", "api_key")),
    "connect_url": (("server_addr",), ("agent", "connect_url")),
}
"""Setting → its path in version 2 and in version 3."""


def set_setting(path: Path, name: str, value: str) -> None:
    """Write a setting into a file of either version; make the file if there is none.

    Raises ConfigError for a file that cannot be read or written. Then it is as it was.
    """
    text = content(path) if path.exists() else ""
    changed = in_lines(text, lambda now: with_setting(now, str(path), name, value))
    save(path, changed)


def with_setting(text: str, file: str, name: str, value: str) -> str:
    """Return the text of a file with a setting in it, and with a version. Raises ConfigError."""
    root = parse(text, file)
    version = root.entries.get("version")
    if version is None:
        number = DEFAULT_VERSION if not root.entries or looks_new(root) else 2
        text = with_version(text, root, number)
        root = parse(text, file)
    else:
        number = 2 if version.text == "2" else 3
    place = _NAMES[name][0 if number == 2 else 1]
    changed = _set(text, root, place, value)
    now: Node | None = parse(changed, file)
    for key in place:
        now = now.entries.get(key) if now is not None else None
    if now is None or now.text != value:
        raise ConfigError(f"{file}: {'.'.join(place)} cannot be written here; write it with an editor")
    return changed


def save(path: Path, text: str) -> None:
    """Put a text into a file, whole or not at all. A new file is its owner's alone. Raises ConfigError."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def written(value: str) -> str:
    """Return a text as a YAML scalar."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


def in_lines(text: str, change: Callable[[str], str]) -> str:
    """Change a text; where all its lines end with CRLF, they do so afterwards, and ``change`` sees LF."""
    if "\r\n" not in text or text.count("\r\n") != text.count("\n"):
        return change(text)
    return change(text.replace("\r\n", "\n")).replace("\n", "\r\n")


def looks_new(root: Node) -> bool:
    """Tell whether a file without a version has what only version 3 has."""
    return "agent" in root.entries or "endpoints" in root.entries


def with_version(text: str, root: Node, number: int) -> str:
    """Write the version before the first key."""
    lines = text.splitlines(keepends=True)
    if not root.keys:
        head = text if not text or text.endswith("\n") else text + "\n"
        return f"{head}version: {number}\n"
    if root.flow:
        return _insert(lines, root.line, root.column + 1, f"version: {number}, ")
    first = min(line for line, _ in root.keys.values())
    return "".join([*lines[: first - 1], f"version: {number}\n", *lines[first - 1 :]])


def _set(text: str, root: Node, place: tuple[str, ...], value: str) -> str:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    node = root
    for depth, key in enumerate(place):
        below = node.entries.get(key)
        if below is None or (below.is_null and depth < len(place) - 1):
            return _add(lines, node, place[depth:], value, below)
        node = below
    if node.kind != "scalar":
        raise ConfigError(f"{node.place}: a {node.kind} stands where one value belongs")
    if node.is_null and not node.text:
        line, column = _behind_colon(lines, root, place)
        return _insert(lines, line, column, f" {written(value)}")
    return _replace(lines, node, written(value))


def _replace(lines: list[str], node: Node, value: str) -> str:
    """Write a value over another one."""
    (last, behind), first = node.end, node.line
    head, tail = (
        lines[first - 1][: node.column - 1],
        lines[last - 1][behind - 1 :] if last <= len(lines) else "",
    )
    if behind == 1 and last > first:  # a block text ends at the beginning of what follows
        last, tail = last - 1, "\n"
    return "".join([*lines[: first - 1], f"{head}{value}{tail}", *lines[last:]])


def _behind_colon(lines: list[str], root: Node, place: tuple[str, ...]) -> tuple[int, int]:
    """Return where the value of a key belongs that has none."""
    node = root
    for key in place[:-1]:
        node = node.entries[key]
    line, column = node.keys[place[-1]]
    return line, lines[line - 1].index(":", column + len(place[-1]) - 1) + 2


def _add(lines: list[str], node: Node, place: tuple[str, ...], value: str, empty: Node | None) -> str:
    """Write a key that is missing, and what is below it."""
    key, below = place[0], place[1:]
    if node.flow:
        inner = written(value)
        for name in reversed(below):
            inner = f"{{{name}: {inner}}}"
        more = ", " if node.entries else ""
        return _insert(lines, node.line, node.column + 1, f"{key}: {inner}{more}")
    if empty is not None:  # `agent:` with nothing below it
        line, column = node.keys[key]
        return "".join([*lines[:line], *_block(below, value, column + 1), *lines[line:]])
    if not node.keys:
        return "".join([*lines, *_block(place, value, 0)])
    after = node.keys.get("version")
    line, column = min(node.keys.values())
    at = after[0] if after else line - 1
    return "".join([*lines[:at], *_block(place, value, column - 1), *lines[at:]])


def _block(place: tuple[str, ...], value: str, indent: int) -> list[str]:
    made = [f"{' ' * (indent + 2 * depth)}{key}:\n" for depth, key in enumerate(place)]
    made[-1] = made[-1].rstrip("\n") + f" {written(value)}\n"
    return made


def _insert(lines: list[str], line: int, column: int, what: str) -> str:
    whole = lines[line - 1]
    return "".join([*lines[: line - 1], whole[: column - 1] + what + whole[column - 1 :], *lines[line:]])
