"""IP policies, their rules, and IP restrictions; and how the network of a rule is written."""

from typing import Final

import msgspec

from portway.errors import Error
from portway.model.cidr import parse_network, write_network

TYPES: Final = ("dashboard", "api", "agent", "endpoints")
"""What an account may restrict by address."""
ACTIONS: Final = ("allow", "deny")

_MAPPED: Final = 0xFFFF << 32


class IpPolicy(msgspec.Struct, frozen=True):
    """A set of rules. ``created_at`` is Unix seconds, as it is in all of them."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float


class IpPolicyRule(msgspec.Struct, frozen=True):
    """One network that a policy allows or denies."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    ip_policy_id: str
    cidr: str
    action: str


class IpRestriction(msgspec.Struct, frozen=True):
    """Who may use something of an account: its dashboard, its API, agents or its endpoints.

    Without ``enforced`` others are let in, and warned of.
    """

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    type: str
    enforced: bool
    ip_policy_ids: tuple[str, ...]


def read_cidr(text: str) -> str:
    """Return the network of a rule the one way that it is kept.

    Raises Error 1413 when the length of its prefix is missing, 1409 when it names an address in the network
    rather than the lowest, 1406 when it is no network.
    """
    host, slash, _ = text.strip().partition("/")
    try:
        single = parse_network(host)
        network = parse_network(text)
    except Error as error:
        raise Error(error.message, 1406) from None
    if not slash:
        raise Error(f"{text!r} has no mask: for this one address write {write_network(single)}.", 1413)
    lowest = single[2] | _MAPPED if network[0] > single[0] else single[2]
    if lowest != network[2]:
        proper = write_network(network)
        raise Error(f"{text!r} must begin with the lowest address of its network: {proper}.", 1409)
    return write_network(network)
