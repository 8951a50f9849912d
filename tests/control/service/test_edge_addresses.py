"""Addresses of edges: whose they may be, and that they are in one region."""

from pathlib import Path

from msgspec.structs import replace
from tests.kit.edge_store import address, with_account
from tests.kit.live import live_endpoint, tell
from tests.kit.names import DOMAIN, noted, refused

from portway.control.service import edges


async def test_addresses_of_two_regions_do_not_go_together(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        here = await address(context, account)
        there = replace(context, settings=replace(context.settings, region="eu"))
        with refused(7157):
            await edges.create(context, account, "tcp", hostports=[here, await address(there, account)])


async def test_an_agent_that_is_online_is_in_the_way_by_either_scheme(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        one = await address(context, account)
        tell(context, live_endpoint(account, url=f"tcp://{one}"))
        with refused(7132):
            await edges.create(context, account, "tcp", hostports=[one])


async def test_the_same_address_written_twice_is_one(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        one = await address(context, account)
        made = await edges.create(context, account, "tcp", hostports=[one, one.upper()])
        assert made.edge.hostports == (one,)
        assert DOMAIN in one


async def test_addresses_keep_the_order_and_the_spelling_in_which_they_were_given_last(
    tmp_path: Path,
) -> None:
    async with with_account(tmp_path) as (context, account):
        one, two, three = [await address(context, account) for _ in range(3)]
        edge = (await edges.create(context, account, "tcp", hostports=[one, two])).id
        before = await noted(context)
        wishes = ([two, one], [three, two.upper(), one], [two, one], [two, one, three], [three])
        for wanted in wishes:
            await edges.update(context, account, "tcp", edge, hostports=wanted)
            assert list((await edges.get(context, account, "tcp", edge)).edge.hostports) == wanted
        told = [each for kind, each in (await noted(context))[len(before) :] if kind == "edge_endpoint"]
        assert len(told) == 5, "the third comes, goes and comes; then the others go: who stays is not told of"
