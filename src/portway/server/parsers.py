"""Texts of options to values. Each parser raises ValueError with a sentence for the user."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

from portway.control.store.url import is_url
from portway.errors import Error
from portway.model.url import normal_host

Network = IPv4Network | IPv6Network

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", re.ASCII)
_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_REGION: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen. Port 0: the kernel chooses."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        """Return ``low-high``."""
        return f"{self.low}-{self.high}"

    def __contains__(self, port: object) -> bool:
        """Tell whether a port is one of them."""
        return isinstance(port, int) and self.low <= port <= self.high

    def __len__(self) -> int:
        """Return how many ports there are."""
        return self.high - self.low + 1


def address(text: str) -> Address:
    """``HOST:PORT``; ``:PORT`` listens on every IPv4 address, ``[::]:PORT`` on every IPv6 one."""
    host, colon, digits = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif not colon or ":" in host:
        raise ValueError(f"{text!r} is not HOST:PORT (an IPv6 address goes in brackets)")
    if not host.isprintable() or " " in host:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Address(host or "0.0.0.0", _port(digits, least=0))


def addresses(text: str) -> tuple[Address, ...]:
    """``HOST[:PORT]``, separated by commas; "" is none. Without a port it is 0, for the reader to fill in."""
    found: list[Address] = []
    for part in filter(None, map(str.strip, text.split(","))):
        alone = ":" not in part or part.endswith("]")
        if part.startswith(":"):
            raise ValueError(f"{part!r} has no host")
        found.append(address(f"{part}:0" if alone else part))
    return tuple(dict.fromkeys(found))


def networks(text: str) -> tuple[Network, ...]:
    """Read networks, ``10.0.0.0/8, fd00::/8``; an address alone is a network of one. "" is none."""
    found: list[Network] = []
    for part in text.replace(",", " ").split():
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise ValueError(f"{part!r} is not a network such as 10.0.0.0/8: {error}") from error
    return tuple(found)


def paths(text: str) -> tuple[Path, ...]:
    """Read paths that are separated by commas; "" is none."""
    if "\0" in text:
        raise ValueError("a path cannot hold NUL")
    return tuple(Path(part.strip()).expanduser() for part in text.split(",") if part.strip())


def port(text: str) -> int:
    """Read a port from 1 to 65535."""
    return _port(text.strip(), least=1)


def port_range(text: str) -> PortRange:
    """``LOW-HIGH``, or one port alone."""
    low, dash, high = text.strip().partition("-")
    first = _port(low.strip(), least=1)
    last = _port(high.strip(), least=1) if dash else first
    if last < first:
        raise ValueError(f"{text!r} runs backwards; LOW-HIGH is wanted")
    return PortRange(first, last)


def domain(text: str) -> str:
    """Read a domain name that is no wildcard, folded."""
    try:
        host = normal_host(text.strip())
    except Error as error:
        raise ValueError(error.message) from error
    if host.startswith("*."):
        raise ValueError(f"{text!r} may not be a wildcard")
    return host


def region(text: str) -> str:
    """Read a region name: letters, digits and hyphens."""
    if not _REGION.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is not a region name: up to 32 of a–z, 0–9 and inner hyphens")
    return text.strip()


def duration(text: str) -> float:
    """Read seconds: ``90``, ``1.5s``, ``500ms``, ``3m``, ``1h``."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 90s, 500ms, 3m or 1h")
    return float(found[1]) * _UNITS[found[2]]


def count(text: str) -> int:
    """Read a whole number up to a million."""
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdigit() and int(stripped[:12]) <= 1_000_000):
        raise ValueError(f"{text!r} is not a whole number from 0 to 1000000")
    return int(stripped)


def switch(text: str) -> bool:
    """``on`` or ``off``; true, false, yes, no, 1 and 0 are understood too."""
    folded = text.strip().lower()
    if folded in {"on", "true", "yes", "1"}:
        return True
    if folded in {"off", "false", "no", "0"}:
        return False
    raise ValueError(f"{text!r} is neither on nor off")


def choice(*names: str) -> Callable[[str], str]:
    """Make a parser that takes one of some words."""

    def parse(text: str) -> str:
        if text.strip() not in names:
            raise ValueError(f"{text!r} is not one of {', '.join(names)}")
        return text.strip()

    return parse


def folder(text: str) -> Path:
    """Read a folder's path; ``~`` is the home folder."""
    if not text or "\0" in text:
        raise ValueError("a folder is wanted")
    return Path(text).expanduser().absolute()


def web_url(text: str) -> str:
    """Return an http or https URL. Raises ValueError."""
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text, re.ASCII):
        raise ValueError(f"{text!r} is no URL; write one such as http://localhost:4318/v1/traces")
    return text


def database_url(text: str) -> str:
    """Read the URL of a PostgreSQL database. It may hold a password, so no error repeats it."""
    if not is_url(text.strip()):
        raise ValueError(
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE is wanted (special characters as %XX)"
        )
    return text.strip()


def _port(digits: str, *, least: int) -> int:
    if not (digits.isascii() and digits.isdigit() and least <= int(digits[:8]) <= 65_535):
        raise ValueError(f"{digits!r} is not a port from {least} to 65535")
    return int(digits)
