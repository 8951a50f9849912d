"""/tunnels over HTTP."""

from pathlib import Path

import pytest
from tests.kit.api import running_api
from tests.kit.live import an_id, live_endpoint, tell, tunnel_of

PLACE = "/tunnels"


@pytest.mark.row("G-098")
async def test_a_tunnel_as_it_is_shown(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        endpoint = live_endpoint(api.account_id)
        tell(api.context, endpoint)
        base = api.context.settings.api_url
        shown: dict[str, object] = {
            "id": tunnel_of(endpoint), "public_url": "https://1.portway.example:7443",
            "started_at": "2027-01-15T08:00:00Z", "metadata": "m", "proto": "https", "region": "local",
            "tunnel_session": {
                "id": endpoint.session_id, "uri": f"{base}/tunnel_sessions/{endpoint.session_id}",
            },
            "endpoint": {"id": endpoint.id, "uri": f"{base}/endpoints/{endpoint.id}"},
            "labels": {}, "backends": [], "forwards_to": "http://localhost:8080",
        }  # fmt: skip
        assert (await api.get(f"{PLACE}/{tunnel_of(endpoint)}")).json == shown
        assert (await api.get(PLACE)).json == {
            "tunnels": [shown], "uri": f"{base}{PLACE}", "next_page_uri": None,
        }  # fmt: skip
        other = await api.other_account()
        foreign = await other.get(f"{PLACE}/{tunnel_of(endpoint)}")
        never = await other.get(f"{PLACE}/{an_id('tn', 99)}")
        assert foreign.status == 404
        assert foreign.without_operation() == never.without_operation()
        assert (await other.get(PLACE))["tunnels"] == []


async def test_pages_go_by_the_identifiers_of_tunnels(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        tell(api.context, *(live_endpoint(api.account_id, number) for number in range(5)))
        first = await api.get(f"{PLACE}?limit=3")
        assert [each["id"] for each in first["tunnels"]] == [an_id("tn", number) for number in (4, 3, 2)]
        following = first["next_page_uri"].removeprefix(api.context.settings.api_url)
        second = await api.get(following)
        assert [each["id"] for each in second["tunnels"]] == [an_id("tn", number) for number in (1, 0)]
        assert second["next_page_uri"] is None
        assert (await api.get(f"{PLACE}?filter=true")).code == 231
        assert (await api.get(f"{PLACE}?before_id={an_id('ep', 1)}")).code == 227
