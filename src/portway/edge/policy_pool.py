"""Whose policy rules over an endpoint: that of its members if they have the same one, else each its own.

Whoever shares a URL may bring a policy of their own. While all are the same text, as nearly always, it is the
endpoint's. Otherwise the member is chosen first and its policy rules over what it gets, so that nobody's
visitors come past their policy by the choice of another. Members whose policies have something to say of
connections of http and https serve all requests of one; which of them will is not known when it begins, so
all of them must let the visitor in.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from portway.edge.pool import Pool
from portway.errors import Error
from portway.policy.actions.tls import WHAT
from portway.policy.phase import HTTP_PHASES, Phase

if TYPE_CHECKING:
    from portway.codec.http1 import ResponseHead
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks
    from portway.edge.member import Member
    from portway.edge.policy import EndpointPolicy
    from portway.edge.registry import Endpoint
    from portway.edge.tls_settings import TlsSettings
    from portway.policy.engine import Policy


def rule(endpoint: "Endpoint") -> None:
    """Let the policies of its members rule over an endpoint. To be called whenever one of both changes."""
    policies = [policy_of(member) for member in endpoint.pool.members]
    preparing = [each for member in endpoint.pool.members if (each := getattr(member, "preparing", None))]
    texts = {"" if each is None else each.text for each in policies}
    first = policies[0] if policies else None
    if len(texts) > 1:
        endpoint.policy = preparing[0] if preparing else MixedPolicy(endpoint)
        endpoint.gates = tuple(each for each in policies if each is not None and _connects(each))
        return
    http = first is not None and any(first.compiled.has(phase) for phase in HTTP_PHASES)
    endpoint.policy = preparing[0] if preparing else first if http else None
    endpoint.gates = (first,) if first is not None and _connects(first) else ()


def _connects(policy: "EndpointPolicy") -> bool:
    return policy.compiled.has(Phase.TCP_CONNECT)


def policy_of(member: "Member") -> "EndpointPolicy | None":
    """Return a member's own policy."""
    return cast("EndpointPolicy | None", getattr(member, "policy", None))


def check_tls(policy: "Policy | None", settings: "TlsSettings | None") -> None:
    """Refuse a policy that ends TLS where a bind option does so already. Raises Error 2203."""
    if policy is None or settings is None:
        return
    steps = (step for each in policy.rules(Phase.TCP_CONNECT) for step in each.steps)
    if any(step.type.name == WHAT for step in steps):
        raise Error(f"TLS is ended by an option of the bind and by {WHAT}: use one of them.", 2203)


class MixedPolicy:
    """The policies of a pool whose members do not agree."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: "Endpoint") -> None:
        """Rule over requests to this endpoint."""
        self._endpoint = endpoint

    def __repr__(self) -> str:
        """Show the pool."""
        return f"<MixedPolicy {self._endpoint.pool!r}>"

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Choose a member, for the connection if any rules over those; let its policy rule."""
        endpoint, upstreams = self._endpoint, passage.upstreams
        member = upstreams.kept(endpoint) if endpoint.gates else endpoint.pool.pick(upstreams.edge.now())
        if member is None:
            return Unruled(passage)
        passage.endpoint = only(self._endpoint, member)
        policy = policy_of(member)
        return Unruled(passage) if policy is None else policy.begin(passage)


def only(endpoint: "Endpoint", member: "Member") -> "Endpoint":
    """Return an endpoint as it is for the visitors of one of its members."""
    pool = Pool(lambda _: 0)
    pool.add(member)
    policy = policy_of(member)
    return replace(endpoint, id=member.id, pool=pool, policy=policy, gates=(policy,) if policy else ())


class Unruled:
    """What rules over a request where no policy does."""

    __slots__ = ("_passage",)

    def __init__(self, passage: "Passage") -> None:
        """Let this one pass."""
        self._passage = passage

    def on_request(self) -> None:
        """Let it go on."""
        self._passage.go_on()

    def on_response(self, head: "ResponseHead") -> None:
        """Let the answer go on."""
        self._passage.pass_on(head)

    def on_unreached(self, status: int, code: int) -> bool:
        """Leave it to who forwarded the request."""
        earlier = self._passage.hooks_before(self)
        return earlier is not None and earlier.on_unreached(status, code)

    def on_over(self) -> None:
        """Nothing was counted."""
