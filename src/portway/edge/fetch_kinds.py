"""The kinds of fetch that actions ask for besides bodies: one table, for the worker to hand over."""

from typing import TYPE_CHECKING

from portway.edge.key_sets import KeySets
from portway.edge.outgoing import Outgoing
from portway.edge.sns_certificates import SnsCertificates

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.policy_fetch import Fetcher
    from portway.edge.registry import Registry
    from portway.edge.waf import Firewall
    from portway.net.web_client import WebClient


def fetch_kinds(
    web: "WebClient",
    strict: "WebClient",
    registry: "Registry",
    now: "Callable[[], float]",
    firewall: "Firewall | None" = None,
) -> "dict[str, Fetcher]":
    """Return what can be fetched, by the name that actions use; ``strict`` asks what policies name freely."""
    inspected: dict[str, Fetcher] = {} if firewall is None else {"inspect": firewall.fetch}
    return {
        **inspected,
        "http": Outgoing(strict, registry).fetch,
        "keys": KeySets(web, now).fetch,
        "sns certificate": SnsCertificates(web, now).fetch,
    }
