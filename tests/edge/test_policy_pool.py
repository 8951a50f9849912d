"""Whose policy rules over a pool."""

import pytest
from msgspec.structs import replace
from tests.kit.http_edge import HandAgent
from tests.kit.pipes import Bell
from tests.kit.policies import Ruled, ruled

from portway.edge.policy_pool import MixedPolicy, check_tls, only, rule
from portway.edge.tls_settings import PLAIN
from portway.errors import Error

DENY = "on_http_request: [{actions: [{type: deny}]}]"
BOTH = "on_tcp_connect: [{actions: [{type: restrict-ips, config: {allow: ['0.0.0.0/0']}}]}]\n" + DENY


async def second(on: Ruled, text: str) -> HandAgent:
    """Add a member with a policy of its own."""
    place = on.stand.endpoint
    agent = HandAgent(Bell())
    compiled = await on.policies.compile(text, place.url, place.account_id)
    if compiled is not None:
        agent.policy = on.policies.place(compiled, place.url, place.account_id, text)  # type: ignore[attr-defined]
    place.pool.add(agent)
    rule(place)
    return agent


async def test_the_same_policy_of_all_is_the_endpoints() -> None:
    async with ruled(BOTH) as on:
        endpoint = on.stand.endpoint
        first = endpoint.policy
        assert len(endpoint.gates) == 1
        agent = await second(on, BOTH)
        assert endpoint.policy is first
        endpoint.pool.remove(on.stand.agent)
        endpoint.pool.remove(agent)
        rule(endpoint)
        assert (endpoint.policy, endpoint.gates) == (None, ())


async def test_rules_for_connections_alone_cost_requests_nothing() -> None:
    async with ruled(BOTH.replace(DENY, "")) as on:
        assert on.stand.endpoint.policy is None
        assert len(on.stand.endpoint.gates) == 1


async def test_different_ones_rule_over_their_own_members() -> None:
    async with ruled(DENY) as on:
        endpoint = on.stand.endpoint
        agent = await second(on, "")
        assert isinstance(endpoint.policy, MixedPolicy)
        agent.usable = False
        client = await on.stand.visit()
        client.get("/")
        assert (await client.answer())[0] == 403
        agent.usable = True  # the last one that can serve is chosen here
        client.get("/")
        (await agent.stream()).ok()
        assert (await client.answer())[0] == 200
        assert on.stand.agent.streams == 0


async def test_a_member_alone_is_an_endpoint_of_its_own() -> None:
    async with ruled(BOTH) as on:
        endpoint = on.stand.endpoint
        alone = only(endpoint, on.stand.agent)
        assert (alone.id, alone.pool.members, alone.counters) == (
            "bind",
            (on.stand.agent,),
            endpoint.counters,
        )


async def test_tls_is_ended_in_one_place() -> None:
    async with ruled() as on:
        text = "on_tcp_connect: [{actions: [{type: terminate-tls}]}]"
        url = replace(on.stand.endpoint.url, scheme="https")
        compiled = await on.policies.compile(text, url, "ac_1")
        check_tls(compiled, None)
        check_tls(None, PLAIN)
        with pytest.raises(Error) as caught:
            check_tls(compiled, PLAIN)
        assert caught.value.code == "ERR_NGROK_2203"
