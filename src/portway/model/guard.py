"""Which addresses the service may connect to when somebody else names the target.

A policy, a webhook destination or an identity provider names a URL, and the service opens the connection:
from where it stands it can reach what the one who names the URL cannot (SSRF). A :class:`Guard` judges
*addresses*, never names: whoever connects asks it with what the name has resolved to, again for each
connection and each redirect, so that a name which changes its mind in between (DNS rebinding) wins nothing.

::

    always refused unless allowed   this machine, link-local (metadata services), unspecified, multicast,
                                    reserved, the cloud providers' other metadata addresses, our listeners
    strict form, likewise           private networks and what else is not of the public internet

An IPv4 address inside of an IPv6 one (mapped, compatible, NAT64, 6to4, Teredo) is judged as well: the
machine may reach the one by the other.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from portway.model.cidr import CidrSet, parse_address

LOCAL: Final = CidrSet((
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "fe80::/10", "ff00::/8",
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::/32",
))  # fmt: skip
"""This machine, the link, and metadata services that stand elsewhere."""

PRIVATE: Final = CidrSet((
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24",
    "64:ff9b:1::/48", "fc00::/7", "fec0::/10", "2001:db8::/32", "100::/64", "3fff::/20",
))  # fmt: skip
"""What is not of the public internet, beyond LOCAL."""

_V4: Final = 0xFFFF_FFFF


class Guard:
    """Says which addresses may be reached. It does not change; ``strict`` makes the strict form of it."""

    __slots__ = ("_allowed", "_own", "_strict")

    def __init__(
        self, allow: Iterable[str] = (), *, own: Iterable[tuple[str, int]] = (), strict: bool = False
    ) -> None:
        """Allow these networks whatever else holds; ``own`` are addresses and ports that we listen on.

        Raises Error 2217 for what is no network.
        """
        self._allowed = CidrSet(allow)
        self._own = frozenset((parse_address(address), port) for address, port in own)
        self._strict = strict

    def __repr__(self) -> str:
        """Show its form and how much is allowed."""
        return f"<Guard{' strict' if self._strict else ''} allowed={len(self._allowed)}>"

    def strict(self) -> "Guard":
        """Return the same guard in its strict form."""
        made = Guard(strict=True)
        made._allowed, made._own = self._allowed, self._own
        return made

    def refusal(self, address: str, port: int) -> str:
        """Say why an address may not be reached; "" if it may. ``address`` is an IP address, not a name."""
        parsed = parse_address(address)
        if parsed is None:
            return "is no IP address"
        if self._allowed.match(address) is not None:
            return ""
        if (parsed, port) in self._own:
            return "is a listener of this service"
        for each in (parsed, *_inner(parsed)):
            text = _text(each)
            if LOCAL.match(text) is not None:
                return "is an address of this machine, of its link, or of no single machine"
            if self._strict and PRIVATE.match(text) is not None:
                return "is not an address of the public internet"
        return ""

    def owns(self, port: int) -> bool:
        """Tell whether we listen on a port, wherever: who connects to this machine looks at that."""
        return any(own == port for _, own in self._own)

    def allows(self, address: str) -> bool:
        """Tell whether an address is allowed by name of its network, whatever else holds."""
        return self._allowed.match(address) is not None


def _inner(address: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Return the IPv4 addresses that an IPv6 one holds. (parse_address has unfolded mapped ones.)"""
    bits, number = address
    if bits == 32:
        return
    if number >> 32 == 0 and number > 0xFFFF:  # ::192.0.2.1
        yield 32, number & _V4
    if number >> 32 == 0xFFFF_0000:  # ::ffff:0:192.0.2.1, SIIT (RFC 2765)
        yield 32, number & _V4
    if number >> 96 == 0x0064_FF9B:  # NAT64, RFC 6052 and RFC 8215
        yield 32, number & _V4
    if number >> 112 == 0x2002:  # 6to4
        yield 32, number >> 80 & _V4
    if number >> 96 == 0x2001_0000:  # Teredo: its server, and its client inverted
        yield 32, number >> 64 & _V4
        yield 32, ~number & _V4
    if number >> 64 & 0xFFFF_FFFF == 0 and number & 0xFFFF_FFFF_0000_0000 == 0x0000_5EFE_0000_0000:
        yield 32, number & _V4  # ISATAP


def _text(address: tuple[int, int]) -> str:
    bits, number = address
    if bits == 32:
        return ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8, 0))
    return ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))
