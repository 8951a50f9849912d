"""What agents have online, by the identifiers of tunnels."""

from pathlib import Path

import pytest
from tests.kit.live import an_id, live_endpoint, tell, tunnel_of
from tests.kit.store import opened

from portway.control.service import tunnels
from portway.control.store.rows import Page
from portway.errors import NotFound


async def test_a_tunnel_is_an_endpoint_of_the_accounts_agents(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        endpoint = live_endpoint("ac_1", 3)
        tell(context, endpoint, live_endpoint("ac_1", 2), live_endpoint("ac_2", 1))
        assert [each.id for each in await tunnels.listed(context, "ac_1", Page())] == [
            an_id("ep", 3),
            an_id("ep", 2),
        ]
        assert await tunnels.listed(context, "ac_1", Page(1, an_id("ep", 2))) == []
        assert await tunnels.get(context, "ac_1", tunnel_of(endpoint)) == endpoint
        for account, which in (("ac_2", tunnel_of(endpoint)), ("ac_1", an_id("tn", 9))):
            with pytest.raises(NotFound):
                await tunnels.get(context, account, which)
