"""What one visitor's connection keeps open toward members."""

import pytest
from tests.kit.certs import Certs
from tests.kit.http2_client import certs2, visit2
from tests.kit.http_edge import stand

from portway.edge.http_upstreams import SPARE


@pytest.fixture(scope="module")
def certs() -> Certs:
    return certs2()


async def test_not_more_than_so_many_free_streams_are_kept(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        streams = [client.ask(f"/{count}") for count in range(SPARE + 5)]
        await made.until(lambda: made.agent.streams == len(streams))
        for agent in made.agent.opened:
            await agent.heads()
            agent.ok()
        for stream in streams:
            assert (await client.answer(stream)).status == 200
        assert sum(agent.sink.ends for agent in made.agent.opened) == 5
        client.ask("/next")
        await made.agent.opened[-1].heads(2)  # the one used last


async def test_streams_to_a_member_that_has_gone_are_ended(certs: Certs) -> None:
    async with stand(certs=certs) as made:
        client = await visit2(made)
        stream = client.ask()
        agent = await made.agent.stream()
        await agent.heads()
        agent.ok()
        await client.answer(stream)
        made.agent.usable = False
        protocol = made.visitor._transport.get_protocol()  # pyright: ignore[reportPrivateUsage]
        protocol.tick()  # type: ignore[union-attr]
        await agent.ended()
