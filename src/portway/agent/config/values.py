"""Values of a configuration file by their kind: each reader notes what is wrong and returns None then."""

import re
from collections.abc import Callable, Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from portway.agent.config.document import Problems
from portway.codec.document import Node
from portway.errors import ConfigError

Reader = Callable[[Node, Problems], Any]

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)


def text(node: Node, problems: Problems) -> str | None:
    """Read one value as the text that was written."""
    if node.kind == "scalar" and node.scalar is not None:
        return node.text
    problems.add(node, f"a text is wanted, not {_shown(node)}")
    return None


def text_or_none(node: Node, problems: Problems) -> str | None:
    """Read a text; nothing written is an empty one."""
    return "" if node.is_null else text(node, problems)


def judged_by(judge: Callable[[str], object]) -> Reader:
    """Make the reader of a text that ``judge`` takes; its ConfigError is the problem."""

    def read(node: Node, problems: Problems) -> str | None:
        found = text(node, problems)
        try:
            if found:
                judge(found)
        except ConfigError as error:
            problems.add(node, str(error))
            return None
        return found

    return read


def boolean(node: Node, problems: Problems) -> bool | None:
    """Read true or false."""
    if isinstance(node.scalar, bool):
        return node.scalar
    problems.add(node, f"true or false is wanted, not {_shown(node)}")
    return None


def integer(node: Node, problems: Problems) -> int | None:
    """Read a whole number."""
    if isinstance(node.scalar, int) and not isinstance(node.scalar, bool):
        return node.scalar
    problems.add(node, f"a whole number is wanted, not {_shown(node)}")
    return None


def number(node: Node, problems: Problems) -> float | None:
    """Read a number."""
    if isinstance(node.scalar, int | float) and not isinstance(node.scalar, bool):
        return float(node.scalar)
    problems.add(node, f"a number is wanted, not {_shown(node)}")
    return None


def duration(node: Node, problems: Problems) -> float | None:
    """Read ``500ms``, ``10s``, ``1m30s`` in seconds."""
    if node.kind == "scalar" and not node.is_null and (seconds := parse_duration(node.text)) is not None:
        return seconds
    problems.add(node, f"a duration such as 10s or 1m30s is wanted, not {_shown(node)}")
    return None


def parse_duration(written: str) -> float | None:
    """Return the seconds that a duration in Go's spelling means; None for what is none."""
    if written == "0":
        return 0.0
    parts = _PART.findall(written)
    if not parts or "".join(amount + unit for amount, unit in parts) != written:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def texts(node: Node, problems: Problems) -> tuple[str, ...] | None:
    """Read a list of texts; one text stands for a list of one."""
    if node.kind == "scalar" and not node.is_null:
        return (node.text,)
    if node.kind != "list":
        problems.add(node, f"a list of texts is wanted, not {_shown(node)}")
        return None
    return tuple(found for item in node.items if (found := text(item, problems)) is not None)


def servers(node: Node, problems: Problems) -> tuple[str, ...] | None:
    """Read a list of IP addresses, each perhaps with a port."""
    found = texts(node, problems)
    wrong = [each for each in found or () if address_and_port(each) is None]
    if wrong:
        problems.add(node, f"{wrong[0]!r} is no IP address: write 192.0.2.1, or 192.0.2.1:53")
        return None
    return found


def address_and_port(written: str) -> tuple[str, int] | None:
    """Read ``IP``, ``IP:PORT`` or ``[IPv6]:PORT``, the port 0 where none is said; None for what is none."""
    address, port = written, ""
    if written.startswith("[") or written.count(":") == 1:
        address, _, port = written.rpartition(":")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            return None
    try:
        return str(ip_address(address.strip("[]"))), int(port or 0)
    except ValueError:
        return None


def one_of(*choices: str) -> Reader:
    """Make the reader of a text that is one of these."""

    def read(node: Node, problems: Problems) -> str | None:
        if node.kind == "scalar" and node.text in choices and not node.is_null:
            return node.text
        problems.add(node, f"one of {', '.join(choices)} is wanted, not {_shown(node)}")
        return None

    return read


def some_of(*choices: str) -> Reader:
    """Make the reader of a list whose texts are among these."""

    def read(node: Node, problems: Problems) -> tuple[str, ...] | None:
        found = texts(node, problems)
        if found is not None and (wrong := [each for each in found if each not in choices]):
            problems.add(node, f"{wrong[0]!r} is not one of {', '.join(choices)}")
            return None
        return found

    return read


def proxy_protocol(node: Node, problems: Problems) -> str | None:
    """Read the version of a PROXY header, as a number or a text; "" for none."""
    if node.is_null or node.text in ("", "0"):
        return ""
    return one_of("1", "2")(node, problems)


def at_most(limit: int, unit: str = "bytes") -> Reader:
    """Make the reader of a text of bounded length."""

    def read(node: Node, problems: Problems) -> str | None:
        found = text_or_none(node, problems)
        if found is not None and len(found.encode() if unit == "bytes" else found) > limit:
            problems.add(node, f"longer than {limit} {unit}")
            return None
        return found

    return read


def path(node: Node, problems: Problems) -> Path | None:
    """Read the path of a file: beside the configuration file, or where the command is run."""
    found = text(node, problems)
    return None if found is None else located(found, node.source)


def located(written: str, file: str) -> Path:
    """Return where a file is that a configuration file names: relative to that, else to here."""
    given = Path(written).expanduser()
    beside = Path(file).parent / given
    return given if given.is_absolute() or (not beside.exists() and given.exists()) else beside


def pem(node: Node, problems: Problems) -> "Path | bytes | None":
    """Read PEM text, or the path of a file that holds it."""
    found = text(node, problems)
    if found is None:
        return None
    return found.encode() if "-----BEGIN" in found else located(found, node.source)


def pems(node: Node, problems: Problems) -> "tuple[Path | bytes, ...] | None":
    """Read one or several of these."""
    nodes = node.items if node.kind == "list" else [node]
    return tuple(found for each in nodes if (found := pem(each, problems)) is not None)


def fields(
    node: Node, known: dict[str, Reader], problems: Problems, hints: dict[str, str] | None = None
) -> dict[str, Any]:
    """Read a map by its readers; notes unknown keys, leaves out what is wrong or null."""
    found: dict[str, Any] = {}
    if node.kind != "map":
        if not node.is_null:
            problems.add(node, f"a map is wanted, not {_shown(node)}")
        return found
    for key, value in node.entries.items():
        if key not in known:
            problems.unknown(node, key, known, (hints or {}).get(key, ""))
        elif not value.is_null and (result := known[key](value, problems)) is not None:
            found[key] = result
    return found


def one_at_most(node: Node, names: Collection[str], problems: Problems) -> None:
    """Note when several keys are given that say the same thing."""
    given = [name for name in names if name in node.entries]
    if len(given) > 1:
        problems.add(node.entries[given[1]], f"stands beside {given[0]}; give one of the two")


def _shown(node: Node) -> str:
    """Say what is there instead; texts are not shown: they may be secrets."""
    if node.kind != "scalar":
        return f"a {node.kind}"
    if node.scalar is None:
        return "nothing"
    if isinstance(node.scalar, bool):
        return "true or false"
    return "a number" if isinstance(node.scalar, int | float) else "this text"
