"""/app/sessions over HTTP."""

from pathlib import Path

import pytest
from tests.control.service.test_identities import opening
from tests.kit.store import Clock
from tests.kit.tenants import two_apis

from portway.control.service import identities

PLACE = "/app/sessions"


@pytest.mark.row("P-54")
async def test_sessions_are_listed_read_and_ended(tmp_path: Path) -> None:
    async with two_apis(tmp_path, Clock()) as (ann, ben):
        made = [await identities.open_session(ann.context, opening(ann.account_id, each)) for each in "ab"]
        listed = (await ann.send("GET", PLACE)).json["application_sessions"]
        base = ann.context.settings.api_url
        assert {
            "id": made[0].id, "uri": f"{base}{PLACE}/{made[0].id}", "public_url": "https://a.example",
            "browser_session": {
                "user_agent": {
                    "raw": "Firefox", "browser_name": "", "browser_version": "", "device_type": "",
                    "os_name": "", "os_version": "",
                },
                "ip_address": "192.0.2.1",
                "location": {
                    "country_code": "DE", "latitude": 52.5, "longitude": 13.4, "lat_long_radius_km": 10,
                },
            },
            "application_user": {"id": made[0].user_id, "uri": f"{base}/app/users/{made[0].user_id}"},
            "created_at": "2027-01-15T08:00:00Z", "last_active": "2027-01-15T08:00:00Z",
            "expires_at": "2027-02-14T08:00:00Z",
            "endpoint": {"id": "ep_1", "uri": f"{base}/endpoints/ep_1"}, "edge": None, "route": None,
        } in listed  # fmt: skip
        assert len(listed) == 2
        page = (await ann.send("GET", f"{PLACE}?limit=1")).json
        assert page["next_page_uri"].startswith(f"{base}{PLACE}?before_id=appsess_")
        place = f"{PLACE}/{made[0].id}"
        for verb in ("GET", "DELETE"):
            assert (await ben.send(verb, place)).status == 404
        assert (await ben.send("GET", PLACE)).json["application_sessions"] == []
        assert (await ann.send("GET", place)).status == 200
        assert (await ann.send("DELETE", place)).status == 204
        assert (await ann.send("GET", place)).status == 404
        assert await identities.find_session(ann.context, "a") is None
        assert await identities.find_session(ann.context, "b") is not None
