"""Sets of IP networks, and which of them an address belongs to.

Networks are kept by the length of their prefix, so that a look costs one dictionary access for every length
in use (at most 33 of IPv4 and 129 of IPv6), however many networks there are. An IPv4 address written as
IPv6 (``::ffff:192.0.2.1``, what a socket of both kinds says of its IPv4 visitors) is the IPv4 address:
otherwise a rule could be walked around by the choice of a listener.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from portway.errors import Error

INVALID: Final = 2217
"""The code of a text that is no network."""

_V4: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:/(\d{1,2}))?", re.ASCII).fullmatch
_LENGTH: Final = re.compile(r"\d{1,3}", re.ASCII).fullmatch
_MAPPED_LENGTH: Final = 96
"""Bits of ``::ffff:0:0/96``, below which IPv4 addresses are written as IPv6."""

Network = tuple[int, int, int]
"""Bits of an address (32 or 128), bits of the prefix, the lowest address as a number."""


def parse_network(text: str) -> Network:
    """Read ``192.0.2.0/24``, ``2001:db8::/32`` or a single address. Bits behind the prefix are ignored.

    Raises Error 2217.
    """
    text = text.strip()
    found = _V4(text)
    if found is not None:
        a, b, c, d, length = found.groups()
        octets = int(a), int(b), int(c), int(d)
        bits = 32 if length is None else int(length)
        zeros = any(len(each) > 1 and each[0] == "0" for each in (a, b, c, d))  # octal to some readers
        if max(octets) > 255 or bits > 32 or zeros:
            raise _invalid(text)
        number = octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3]
        return 32, bits, number >> (32 - bits) << (32 - bits)
    host, slash, digits = text.partition("/")
    try:
        number = int(IPv6Address(host))
    except AddressValueError as error:
        raise _invalid(text) from error
    if "%" in host or (slash and not _LENGTH(digits)):
        raise _invalid(text)
    bits = int(digits) if slash else 128
    if bits > 128:
        raise _invalid(text)
    if number >> 32 == 0xFFFF and bits >= _MAPPED_LENGTH:
        bits -= _MAPPED_LENGTH
        return 32, bits, (number & 0xFFFF_FFFF) >> (32 - bits) << (32 - bits)
    return 128, bits, number >> (128 - bits) << (128 - bits)


def parse_address(text: str) -> tuple[int, int] | None:
    """Return the bits of an IP address (32 or 128) and its number; None when it is none."""
    try:
        return 32, int(IPv4Address(text))
    except AddressValueError:
        pass
    try:
        number = int(IPv6Address(text.partition("%")[0]))
    except AddressValueError:
        return None
    return (32, number & 0xFFFF_FFFF) if number >> 32 == 0xFFFF else (128, number)


class CidrSet:
    """A set of networks. It does not change once it is made."""

    __slots__ = ("_by_length", "_size")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Read networks. Raises Error 2217 that names the first bad one."""
        tables: dict[tuple[int, int], dict[int, str]] = {}
        size = 0
        for text in texts:
            bits, length, number = parse_network(text)
            table = tables.setdefault((bits, length), {})
            size += number not in table
            table.setdefault(number, text)
        self._size = size
        self._by_length: dict[int, list[tuple[int, int, dict[int, str]]]] = {
            family: [
                (family - length, length, tables[bits, length])
                for bits, length in sorted(tables, reverse=True)
                if bits == family
            ]
            for family in (32, 128)
        }

    def __len__(self) -> int:
        """Count the networks; one that is written twice counts once."""
        return self._size

    def __repr__(self) -> str:
        """Show how many networks there are."""
        return f"<CidrSet {self._size} networks>"

    def match(self, address: str) -> str | None:
        """Return the smallest network that holds an address, as it was written; None if none does."""
        parsed = parse_address(address)
        if parsed is None:
            return None
        family, number = parsed
        for rest, _, table in self._by_length[family]:
            found = table.get(number >> rest << rest)
            if found is not None:
                return found
        return None


def _invalid(text: str) -> Error:
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return Error(f"{shown!r} is not an IP network such as 192.0.2.0/24 or 2001:db8::/32.", INVALID)
