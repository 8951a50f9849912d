"""Traffic Policies on an edge of the test's own: one endpoint, or several that forward to each other."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from textwrap import indent

from portway.edge.ip_policies import IpPolicies
from portway.edge.policy import Policies, world_of
from portway.edge.policy_pool import rule
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint
from portway.edge.view import View
from portway.model.url import parse_endpoint_url
from portway.policy.geo import GeoLookup
from tests.kit.certs import Certs
from tests.kit.http_edge import AgentStream, HandAgent, Stand, stand
from tests.kit.pipes import Bell


class Ruled:
    """A stand whose endpoints have policies."""

    def __init__(self, made: Stand, geo: GeoLookup | None = None) -> None:
        """Take the stand; ``rule`` gives it a policy."""
        self.stand = made
        edge = made.edge
        self.view = View()
        self.ip_policies = IpPolicies(self.view, edge.registry.look_again)
        edge.restrictions = self.ip_policies.endpoints
        world = partial(world_of, self.view, geo, self.ip_policies)
        self.policies = Policies(edge.registry, edge.now, edge.wall, world, geo)

    async def rule(self, text: str, endpoint: Endpoint | None = None, *, cloud: bool = False) -> None:
        """Let a policy rule over an endpoint from now on."""
        place = endpoint or self.stand.endpoint
        compiled = await self.policies.compile(text, place.url, place.account_id, cloud=cloud)
        for member in place.pool.members:
            assert compiled is not None
            member.policy = self.policies.place(compiled, place.url, place.account_id, text)  # type: ignore[attr-defined]
        rule(place)

    async def internal(
        self,
        url: str,
        text: str = "",
        serve: Callable[[AgentStream], None] | None = None,
        account: str = "ac_1",
    ) -> HandAgent:
        """Put an internal endpoint online; return who serves it."""
        agent = HandAgent(Bell(), serve)
        agent.id = url
        pool = Pool(lambda n: n - 1)
        pool.add(agent)
        parsed = parse_endpoint_url(url, url.partition(":")[0], binding="internal")
        endpoint = Endpoint(f"ep_{parsed.host}", parsed, parsed.scheme, account, pool)
        self.stand.edge.registry.add(endpoint)
        if text:
            await self.rule(text, endpoint)
        return agent


@asynccontextmanager
async def ruled(
    text: str = "",
    *,
    serve: Callable[[AgentStream], None] | None = None,
    certs: Certs | None = None,
    geo: GeoLookup | None = None,
) -> AsyncGenerator[Ruled]:
    """Open an edge whose endpoint http(s)://app.example has this policy."""
    async with stand(serve=serve, certs=certs) as made:
        found = Ruled(made, geo)
        if text:
            await found.rule(text)
        yield found


def action(kind: str, config: str = "", phase: str = "on_http_request") -> str:
    """Return a policy of one rule with one action."""
    fields = indent(config.strip() or "{}", " " * 10)
    return f"{phase}:\n  - actions:\n      - type: {kind}\n        config:\n{fields}\n"
