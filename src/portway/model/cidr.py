"""Sets of IP networks, and which of them an address belongs to.

A :class:`CidrTable` changes, a :class:`CidrSet` does not. Networks are kept by the length of their prefix, so
that a look costs one dictionary access for every length in use (at most 33 of IPv4 and 129 of IPv6), however
many networks there are. An IPv4 address written as IPv6 (``::ffff:192.0.2.1``, what a socket of both kinds
says of its IPv4 visitors) is the IPv4 address: otherwise a rule could be walked around by the choice of a
listener.
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


def write_network(network: Network) -> str:
    """Write a network the one way that it is kept: ``192.0.2.0/24``, ``2001:db8::/32``."""
    bits, length, number = network
    return f"{IPv4Address(number) if bits == 32 else IPv6Address(number)}/{length}"


def networks_around(address: str) -> list[str]:
    """Return every network that holds an address, the smallest first, as :func:`write_network` writes them.

    There are 33 of IPv4 and 129 of IPv6: few enough to ask a store for. None for what is no address.
    """
    parsed = parse_address(address)
    if parsed is None:
        return []
    bits, number = parsed
    return [
        write_network((bits, length, number >> (bits - length) << (bits - length)))
        for length in range(bits, -1, -1)
    ]


class CidrTable:
    """Networks that come and go, each under one text."""

    __slots__ = ("_orders", "_size", "_tables")

    def __init__(self) -> None:
        """Be empty."""
        self._tables: dict[tuple[int, int], dict[int, str]] = {}
        """By family and length of the prefix."""
        self._orders: dict[int, tuple[tuple[int, dict[int, str]], ...]] = {32: (), 128: ()}
        """By family: how far an address is shifted, and the networks of that length; longest prefix first."""
        self._size = 0

    def __len__(self) -> int:
        """Count the networks."""
        return self._size

    def __repr__(self) -> str:
        """Show how many networks there are."""
        return f"<CidrTable {self._size} networks>"

    def add(self, text: str) -> None:
        """Take a network in; one that is there keeps its text. Raises Error 2217."""
        bits, length, number = parse_network(text)
        table = self._tables.get((bits, length))
        if table is None:
            table = self._tables[bits, length] = {}
            self._order(bits)
        self._size += number not in table
        table.setdefault(number, text)

    def discard(self, text: str) -> None:
        """Let go of a network, if it is there. Raises Error 2217."""
        bits, length, number = parse_network(text)
        table = self._tables.get((bits, length), {})
        if table.pop(number, None) is None:
            return
        self._size -= 1
        if not table:
            del self._tables[bits, length]
            self._order(bits)

    def clear(self) -> None:
        """Let go of all."""
        self._tables.clear()
        self._orders = {32: (), 128: ()}
        self._size = 0

    def find(self, parsed: tuple[int, int]) -> str | None:
        """Return the smallest network that holds what :func:`parse_address` gave, as it was written."""
        family, number = parsed
        for rest, table in self._orders[family]:
            found = table.get(number >> rest << rest)
            if found is not None:
                return found
        return None

    def match(self, address: str) -> str | None:
        """Return the smallest network that holds an address, as it was written; None if none does."""
        parsed = parse_address(address)
        return None if parsed is None else self.find(parsed)

    def _order(self, family: int) -> None:
        lengths = sorted((length for bits, length in self._tables if bits == family), reverse=True)
        self._orders[family] = tuple((family - each, self._tables[family, each]) for each in lengths)


class CidrSet:
    """A set of networks. It does not change once it is made."""

    __slots__ = ("_table",)

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Read networks. Raises Error 2217 that names the first bad one."""
        self._table = CidrTable()
        for text in texts:
            self._table.add(text)

    def __len__(self) -> int:
        """Count the networks; one that is written twice counts once."""
        return len(self._table)

    def __repr__(self) -> str:
        """Show how many networks there are."""
        return f"<CidrSet {len(self)} networks>"

    def match(self, address: str) -> str | None:
        """Return the smallest network that holds an address, as it was written; None if none does."""
        return self._table.match(address)


def _invalid(text: str) -> Error:
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    return Error(f"{shown!r} is not an IP network such as 192.0.2.0/24 or 2001:db8::/32.", INVALID)
