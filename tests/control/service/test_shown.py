"""How things look to clients."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import running_api
from tests.kit.events import journal, journal_everything
from tests.kit.things import CREATE, a_thing

from portway.control.service.shown import timestamp

STEMS = {
    "credentials": "tunnel_credential",
    "api_keys": "api_key",
    "ssh_credentials": "ssh_public_key",
    "reserved_addrs": "tcp_address",
    "reserved_domains": "domain",
    "tls_certificates": "tls_certificate",
    "certificate_authorities": "certificate_authority",
    "event_destinations": "event_destination",
    "event_subscriptions": "event_subscription",
    "ip_policies": "ip_policy",
    "ip_policy_rules": "ip_policy_rule",
    "ip_restrictions": "ip_restriction",
}
"""What audit events call the things of a collection."""

SECRETS = ("private_key_pem", "sealed", "token_hash", "PRIVATE KEY")


def test_timestamps_are_whole_seconds_of_utc() -> None:
    assert timestamp(1_800_000_000.9) == "2027-01-15T08:00:00Z"


@pytest.mark.row("EV-02")
@pytest.mark.parametrize("noun", sorted(STEMS))
async def test_each_change_tells_the_thing_as_the_api_shows_it(tmp_path: Path, noun: str) -> None:
    async with running_api(tmp_path) as api:
        await journal_everything(api.context, api.account_id)
        thing = await a_thing(api, noun)
        made = await api.get(f"/{noun}/{thing}")
        changed = await api.patch(f"/{noun}/{thing}", {"description": "new", "metadata": "m"})
        assert changed.status == 200
        assert (await api.delete(f"/{noun}/{thing}")).status == 204
        told = [each for each in await journal(api.context) if each["object"]["id"] == thing]
        key = (await api.get("/api_keys"))["keys"][-1]
    assert [each["event_type"] for each in told] == [
        f"{STEMS[noun]}_{action}.v0" for action in ("created", "updated", "deleted")
    ]
    seen = [_lasting(each.json) for each in (made, changed, changed)]
    assert [each["object"] for each in told] == seen
    for each in told:
        assert each["account_id"] == api.account_id
        assert each["event_id"].startswith("ev_")
        assert each["principal"] == {
            "id": "",
            "subject": "",
            "source": "API",
            "credential": {"id": key["id"], "uri": key["uri"]},
        }
        assert not [secret for secret in SECRETS if secret in str(each)]


def _lasting(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a thing without what is told of it live."""
    return {key: value for key, value in shown.items() if key != "delivery"}


def test_every_collection_that_can_be_made_has_a_stem() -> None:
    missing = set(CREATE) - set(STEMS)
    assert "endpoints" in missing, "no published type tells of endpoints"
