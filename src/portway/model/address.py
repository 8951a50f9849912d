"""TCP addresses: one host for all, a port for each.

An address is given out at random and cannot be chosen. One that was given back is avoided as long as
any other is free, then the one that was given back longest ago comes first: its former visitors have
had the most time to notice.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from portway.errors import Error
from portway.model.ids import RandomBytes

_RANDOM_BYTES: Final = 8
"""The bias of a modulus over 64 random bits is below 2⁻⁴⁸ for any range of ports."""


def choose_port(
    ports: Sequence[int], taken: Collection[int], former: Sequence[int], random: RandomBytes
) -> int:
    """Choose a port that nobody has. ``former`` are those given back, the longest ago first.

    Raises Error 503 when none is free.
    """
    fresh = sorted(set(ports) - set(taken) - set(former))
    if fresh:
        return fresh[int.from_bytes(random(_RANDOM_BYTES), "big") % len(fresh)]
    again = [port for port in former if port in ports and port not in taken]
    if not again:
        raise Error("This service has no TCP address left; its operator can give it more ports.", 503)
    return again[0]


def pool_host(domain: str, number: int = 1, region: str = "") -> str:
    """Return the host of a pool of addresses: ``N.tcp[.REGION].DOMAIN``."""
    return f"{number}.tcp.{region}.{domain}" if region else f"{number}.tcp.{domain}"


def hostport(host: str, port: int) -> str:
    """Write an address: ``host:port``."""
    return f"{host}:{port}"


def split_hostport(text: str) -> tuple[str, int]:
    """Read ``host:port``; what is no such text gives port 0."""
    host, _, digits = text.rpartition(":")
    return host, int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0


class ReservedAddr(msgspec.Struct, frozen=True):
    """An address that an account keeps. ``created_at`` is Unix seconds."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    region: str
    host: str
    port: int

    @property
    def addr(self) -> str:
        """``host:port``."""
        return hostport(self.host, self.port)
