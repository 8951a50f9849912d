"""A Traffic Policy at work on an endpoint of this edge: compiled, with what it counts and what it may ask.

:class:`Policies` compiles documents for endpoints, off the event loop when they are large, and keeps what
rate limits and circuit breakers count: under the account and the URL, so that a new version of a policy and
an agent that comes back find it again. The endpoints that were not used for longest are forgotten once there
are too many. :class:`EndpointPolicy` is one compiled document on one endpoint.
"""

import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Final

from portway.edge.policy_facts import endpoint_of
from portway.edge.policy_request import Glance, PolicyHooks, facts_of
from portway.model.view import AuthorityItem
from portway.net.turns import Turns
from portway.policy.limits import DEFAULT_LIMITS, PolicyLimits
from portway.policy.phase import HTTP_PHASES, Phase
from portway.policy.problem import PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.document import Node
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks
    from portway.edge.http_upstreams import Upstreams
    from portway.edge.ip_policies import IpPolicies
    from portway.edge.policy_fetch import Fetches
    from portway.edge.ports import Control
    from portway.edge.registry import Endpoint as Online
    from portway.edge.registry import Registry
    from portway.edge.secrets import Secrets
    from portway.edge.view import View
    from portway.model.url import Url
    from portway.policy.compiler import World
    from portway.policy.engine import Policy, Run
    from portway.policy.facts import Endpoint, Facts
    from portway.policy.geo import GeoLookup

    Document = str | Node | Callable[[], str | Node]
    """A policy: its text, what was read of it, or what reads it, which may take as long as compiling."""

STATES: Final = 10_000
"""Endpoints whose counts are kept. They are small; what they count is bounded by itself."""

AT_ONCE: Final = 2048
"""Characters of a document that is compiled at once; a longer one does not hold the event loop up."""

COMPILING: Final = 2
"""Longer documents of one account that are compiled at a time."""

NAMED: Final = frozenset((1672, 2216))
"""Problems of documents that name a row which is not there: a certificate authority, an IP policy."""

State = dict[str, object]


class EndpointPolicy:
    """A compiled policy on an endpoint."""

    __slots__ = ("_account_id", "_policies", "_seen", "compiled", "glances", "state", "text")

    def __init__(
        self, policies: "Policies", compiled: "Policy", state: State, text: str, account_id: str = ""
    ) -> None:
        """Rule with this policy; count in ``state``. It may read the secrets of its account."""
        self._account_id = account_id
        self._policies = policies
        self.compiled = compiled
        self.state = state
        self.text = text
        self.glances = not any(compiled.has(phase) for phase in HTTP_PHASES - {Phase.HTTP_REQUEST})
        """It has nothing to say of answers: a request that no rule matches needs no passage."""
        self._seen: tuple[Online, Endpoint] | None = None

    def __repr__(self) -> str:
        """Show the policy and how much it counts."""
        return f"<EndpointPolicy {self.compiled!r} counts={len(self.state)}>"

    @property
    def registry(self) -> "Registry":
        """Where other endpoints are found."""
        return self._policies.registry

    @property
    def fetches(self) -> "Fetches | None":
        """Who carries out what its actions ask for; None: nobody."""
        return self._policies.fetches

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Make what rules over one request."""
        return PolicyHooks(self, passage)

    def glance(self, upstreams: "Upstreams", endpoint: "Online", exchange: "Exchange") -> Glance | None:
        """Begin to judge a request of HTTP/1 that has no passage; None: no rule matches, so it needs none.

        Only if ``glances``.
        """
        seen, head = self.seen(endpoint), exchange.head
        facts = facts_of(upstreams, seen, head, upstreams.forwarding, exchange.started)
        run = self.begin_run(Phase.HTTP_REQUEST, facts)
        return None if run.skip() else Glance(facts, run)

    def seen(self, endpoint: "Online") -> "Endpoint":
        """Return what it sees of the endpoint that it rules over now, nearly always the same."""
        if self._seen is None or self._seen[0] is not endpoint:
            self._seen = endpoint, endpoint_of(endpoint)
        return self._seen[1]

    def begin_run(self, phase: "Phase", facts: "Facts") -> "Run":
        """Begin one phase of one request or connection."""
        policies = self._policies
        start = policies.now()
        return self.compiled.begin(
            phase,
            facts,
            self.state,
            now=policies.wall(),
            monotonic=start,
            random=policies.random,
            elapsed=lambda: policies.now() - start,
            geo=policies.geo,
            secrets=self._secret if policies.secrets is not None else None,
        )

    def _secret(self, vault: str, name: str) -> str | None:
        secrets = self._policies.secrets
        return secrets.get(self._account_id, vault, name) if secrets is not None else None


@dataclass(slots=True)
class Policies:
    """All that policies of this edge share."""

    registry: "Registry"
    now: "Callable[[], float]"
    wall: "Callable[[], float]"
    world: "Callable[[str], World]"
    """Account → what its policies may ask."""
    geo: "GeoLookup | None" = None
    random: Random = field(default_factory=SystemRandom)
    fetches: "Fetches | None" = None
    """Who carries out what actions ask for."""
    secrets: "Secrets | None" = None
    """What accounts keep in their vaults."""
    limits: PolicyLimits = DEFAULT_LIMITS
    _turns: Turns = field(default_factory=lambda: Turns(COMPILING))
    _states: "OrderedDict[tuple[str, str], State]" = field(
        default_factory=lambda: OrderedDict[tuple[str, str], State]()
    )

    async def compile(
        self, text: "Document", url: "Url", account_id: str, *, cloud: bool = False, size: int = 0
    ) -> "Policy | None":
        """Compile a document; None when it says nothing. Raises PolicyError. Cancelled: nothing is kept.

        ``size`` is about how many characters a document has that is no text.
        """
        if isinstance(text, str):
            if is_empty(text):
                return None
            size = len(text)
        if size <= AT_ONCE and "portway.policy.compiler" in sys.modules:
            return self._compile(text, url, account_id, cloud=cloud)
        # The first one loads what policies need, which takes longer than most of them.
        return await self._turns.run(account_id, lambda: self._compile(text, url, account_id, cloud=cloud))

    def _compile(self, text: "Document", url: "Url", account_id: str, *, cloud: bool) -> "Policy | None":
        from portway.policy.compiler import Target, compile_policy

        document = text() if callable(text) else text
        if isinstance(document, str) and is_empty(document):
            return None
        target = Target(
            url.scheme, internal=url.is_internal, cloud=cloud, host="" if url.is_internal else url.host
        )
        return compile_policy(document, target, self.limits, self.world(account_id))

    def place(
        self, compiled: "Policy", url: "Url", account_id: str, text: str, *, part: str = ""
    ) -> EndpointPolicy:
        """Put a policy on an endpoint; what an earlier one counted goes on where both count the same.

        ``part`` names a part of an endpoint that has a policy of its own, such as a route.
        """
        key = (account_id, f"{url} {part}" if part else str(url))
        state = self._states.setdefault(key, {})
        self._states.move_to_end(key)
        kept = compiled.state_keys
        for name in [name for name in state if name not in kept]:
            del state[name]
        while len(self._states) > STATES:
            self._states.popitem(last=False)
        return EndpointPolicy(self, compiled, state, text, account_id)


async def compile_brought(
    policies: Policies, control: "Control", text: "Document", url: "Url", account_id: str, size: int = 0
) -> "Policy | None":
    """Compile a document that an agent brings. Raises PolicyError, but not for want of a row made just now.

    After a start it waits until it is known which rows there are. Cancelled: nothing is kept.
    """
    await control.view.known()
    try:
        return await policies.compile(text, url, account_id, size=size)
    except PolicyError as error:
        if NAMED.isdisjoint(each.code for each in error.problems):
            raise
        await control.caught_up()
        return await policies.compile(text, url, account_id, size=size)


def world_of(
    view: "View", geo: "GeoLookup | None", ip_policies: "IpPolicies", account_id: str, *, crs: bool = False
) -> "World":
    """Return what the policies of an account may ask of the rows that the edge knows."""
    from portway.policy.actions.waf import CRS
    from portway.policy.compiler import World

    def authority(row: str) -> bytes | None:
        item = view.find(row)
        if isinstance(item, AuthorityItem) and item.account_id == account_id:
            return item.pem.encode()
        return None

    return World(geo, ip_policy=partial(ip_policies.sides, account_id), authority=authority, extra={CRS: crs})


def is_empty(text: str) -> bool:
    """Tell whether a document says nothing, so that there is no policy."""
    return text.strip() in _EMPTY


_EMPTY: Final = frozenset(("", "{}", "null", "[]", "---"))
