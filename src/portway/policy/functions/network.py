"""Functions on IP addresses."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from portway.policy.functions import Function

_PRIVATE: Final = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


@lru_cache(maxsize=10_000)
def _network(text: str) -> IPv4Network | IPv6Network | None:
    """Return a range, host bits or not; None if it is none."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _in_range(address: str, cidr: str) -> bool:
    network = _network(cidr)
    if network is None:
        return False
    try:
        return ip_address(address) in network
    except ValueError:
        return False


def _in_ranges(address: str, cidrs: list[Any]) -> bool:
    return any(isinstance(cidr, str) and _in_range(address, cidr) for cidr in cidrs)


def _is_private(address: str) -> bool:
    try:
        known = ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in _PRIVATE)


FUNCTIONS: Final = [
    Function("inCidrRange", ("string", "string"), "bool", _in_range),
    Function("inCidrRanges", ("string", "list(dyn)"), "bool", _in_ranges),
    Function("isPrivateIp", ("string",), "bool", _is_private, method=True),
]
