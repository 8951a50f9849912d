"""Whom an account lets in to its endpoints, asked once for each visitor's connection.

An account without a restriction, as nearly all are, costs one look into a dictionary. Where rules change,
requests on connections that stand are judged anew too: :class:`portway.edge.ip_policies.IpPolicies` has the
registry's version rise then, and with it every connection looks again.

Internal endpoints have no visitors of their own: who is forwarded there was judged where he came in.
"""

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from portway.edge.http_naming import Misdirected
from portway.edge.ip_policies import BLOCKED

if TYPE_CHECKING:
    from portway.edge.http_exchange import Exchange
    from portway.edge.ports import HttpEdge
    from portway.edge.registry import Endpoint

LOGGED: Final = 60.0
"""Seconds in which a restriction that only warns is logged once; events tell of each visitor."""

WHY: Final = f"refused by the account's IP restriction (ERR_NGROK_{BLOCKED})"

_log = logging.getLogger(__name__)


class Decision(NamedTuple):
    """What a restriction says of one visitor."""

    word: str
    """For the event: allow or block."""
    refused: bool
    """It is enforced too."""


def decide(edge: "HttpEdge", endpoint: "Endpoint", address: str) -> Decision | None:
    """Judge a visitor, by address without brackets; None where its account restricts nothing."""
    found = edge.restrictions.get(endpoint.account_id)
    if found is None:
        return None
    word = found.decide(address)
    if word == "block" and not found.enforced and edge.may_log(f"IP restriction {found.id}", LOGGED):
        fields = {"account": endpoint.account_id, "restriction": found.id, "url": str(endpoint.url)}
        said = "IP restriction: %s would be refused, were it enforced"
        _log.warning(said, address, extra={"fields": fields})
    return Decision(word, word == "block" and found.enforced)


def mark(decision: Decision, exchange: "Exchange", endpoint: "Endpoint") -> None:
    """Tell what was decided in the event of a request. Raises Misdirected 403 when it is refused."""
    exchange.told = {"ip_policy_decision": decision.word}
    if decision.refused:
        exchange.asks(endpoint)
        raise Misdirected(403, BLOCKED)
