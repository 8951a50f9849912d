"""Functions on IP addresses. An IPv4 address that is written as IPv6 is the IPv4 address."""

from functools import lru_cache
from typing import Any, Final

from portway.errors import Error
from portway.model.cidr import Network, parse_address, parse_network
from portway.policy.functions import Function

_PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


@lru_cache(maxsize=10_000)
def _network(text: str) -> Network | None:
    """Return a range, host bits or not; None if it is none."""
    try:
        return parse_network(text)
    except Error:
        return None


def _in_range(address: str, cidr: str) -> bool:
    network, known = _network(cidr), parse_address(address)
    if network is None or known is None or network[0] != known[0]:
        return False
    bits, length, lowest = network
    return known[1] >> (bits - length) == lowest >> (bits - length)


def _in_ranges(address: str, cidrs: list[Any]) -> bool:
    return any(isinstance(cidr, str) and _in_range(address, cidr) for cidr in cidrs)


def _is_private(address: str) -> bool:
    return any(_in_range(address, network) for network in _PRIVATE)


FUNCTIONS: Final = [
    Function("inCidrRange", ("string", "string"), "bool", _in_range),
    Function("inCidrRanges", ("string", "list(dyn)"), "bool", _in_ranges),
    Function("isPrivateIp", ("string",), "bool", _is_private, method=True),
]
