"""Queries on edges."""

from pathlib import Path

from tests.kit.edge_store import address, with_account

from portway.control.service import edges as service
from portway.control.store import edges


async def test_addresses_are_found_by_place_edge_and_reservation(tmp_path: Path) -> None:
    async with with_account(tmp_path) as (context, account):
        one, two = await address(context, account), await address(context, account)
        edge = (await service.create(context, account, "tcp", hostports=[two, one])).id
        async with context.database.read() as connection:
            found = await edges.addresses_of(connection, account, [edge])
            assert [each.hostport for each in found] == [two, one], "in their order"
            assert await edges.at(connection, [f"tcp {one}"]) == [found[1]]
            assert await edges.at(connection, ["tcp a:1"]) == []
            assert await edges.has_address(connection, found[0].tcp_addr_id or "")
            assert not await edges.has_address(connection, "ra_none")
            assert not await edges.has_domain(connection, "rd_none")
            assert await edges.addresses_of(connection, "ac_other", [edge]) == []
            assert len(edges.named(["ep_1"], ["tcp://a:1"])) == 2
