"""IP policies of accounts."""

from pathlib import Path

import pytest
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import cloud_endpoints, ip_policies, ip_policy_rules, ip_restrictions, policies
from portway.control.service.cloud_endpoints import Wish
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import NotFound
from portway.model.plan import Plan
from portway.model.url import parse_endpoint_url

POLICY = """
on_http_request:
  - actions:
      - {type: restrict-ips, config: {ip_policies: [%s]}}
      - {type: deny}
"""


async def test_a_policy_goes_with_its_rules_and_all_is_noted(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        made = await ip_policies.create(context, ann.id, description="office", metadata="m")
        rules = [
            await ip_policy_rules.create(context, ann.id, made.id, f"10.{n}.0.0/16", "allow")
            for n in range(3)
        ]
        changed = await ip_policies.update(context, ann.id, made.id, description="")
        assert (changed.description, changed.metadata) == ("", "m")
        assert await ip_policies.listed(context, ben.id, Page()) == []
        with pytest.raises(NotFound):
            await ip_policies.delete(context, ben.id, made.id)
        async with context.database.read() as connection:
            before = await changes.last(connection)
        await ip_policies.delete(context, ann.id, made.id)
        assert await ip_policy_rules.listed(context, ann.id, Page()) == []
        async with context.database.read() as connection:
            noted = await changes.after(connection, before)
        assert {(each.kind, each.subject_id) for each in noted} == {
            (changes.IP_POLICY, made.id),
            *((changes.IP_RULE, each.id) for each in rules),
        }
        with refused(1402):
            await ip_policies.get(context, ann.id, made.id)


async def test_what_is_referred_to_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        held, named = [await ip_policies.create(context, ann.id) for _ in range(2)]
        kept = await ip_restrictions.create(context, ann.id, "agent", [held.id])
        endpoint = await cloud_endpoints.create(
            context, ann.id, Wish(url="https://a.internal", traffic_policy=POLICY % named.id)
        )
        for each in (held, named):
            with refused(1420):
                await ip_policies.delete(context, ann.id, each.id)
        await ip_restrictions.delete(context, ann.id, kept.id)
        await cloud_endpoints.delete(context, ann.id, endpoint.id)
        for each in (held, named):
            await ip_policies.delete(context, ann.id, each.id)


async def test_traffic_policies_name_the_accounts_own(tmp_path: Path) -> None:
    url = parse_endpoint_url("https://app.example", "https")
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        own = await ip_policies.create(context, ann.id)
        await policies.check(context, ann.id, url, POLICY % own.id)
        for account, policy_id in ((ben.id, own.id), (ann.id, "ipp_nobody"), (ann.id, "office")):
            with refused(2216):
                await policies.check(context, account, url, POLICY % policy_id)


async def test_there_is_an_end_of_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, Clock()) as plain:
        monkeypatch.setattr(ip_policies, "LIMIT", 1)
        context = configured(plain, tmp_path, plans={"small": Plan(ip_policies=0)})
        ann, _ = await two_accounts(context)
        await ip_policies.create(context, ann.id)
        with refused(1415):
            await ip_policies.create(context, ann.id)
