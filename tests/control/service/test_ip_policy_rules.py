"""Rules of IP policies."""

from pathlib import Path

import pytest
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import ip_policies, ip_policy_rules, ip_restrictions
from portway.control.store import changes

ID = "ipp_" + "0" * 27


async def test_rules_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ip_policy_rules, "PER_POLICY", 2)
    monkeypatch.setattr(ip_policy_rules, "LIMIT", 3)
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        one, other = [await ip_policies.create(context, ann.id) for _ in range(2)]
        create = ip_policy_rules.create
        for n in range(2):
            await create(context, ann.id, one.id, f"10.0.0.{n}/32", "allow")
        with refused(1411):
            await create(context, ann.id, one.id, "10.0.0.9/32", "allow")
        await create(context, ann.id, other.id, "10.0.0.0/32", "deny")
        with refused(1417):
            await create(context, ann.id, other.id, "10.0.0.9/32", "allow")


async def test_the_last_rule_of_an_enforced_dashboard_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        policy = await ip_policies.create(context, ann.id)
        first, last = [
            await ip_policy_rules.create(context, ann.id, policy.id, f"10.0.{n}.0/24", "allow")
            for n in (0, 1)
        ]
        held = await ip_restrictions.create(context, ann.id, "dashboard", [policy.id], enforced=True)
        await ip_policy_rules.delete(context, ann.id, first.id)
        with refused(1419):
            await ip_policy_rules.delete(context, ann.id, last.id)
        await ip_restrictions.update(context, ann.id, held.id, enforced=False)
        await ip_policy_rules.delete(context, ann.id, last.id)


async def test_a_rule_may_keep_its_network_and_takes_no_others(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        policy = await ip_policies.create(context, ann.id)
        one = await ip_policy_rules.create(context, ann.id, policy.id, "10.0.0.0/8", "allow")
        two = await ip_policy_rules.create(context, ann.id, policy.id, "10.1.0.0/16", "deny")
        same = await ip_policy_rules.update(context, ann.id, one.id, cidr="10.0.0.0/8", metadata="m")
        assert (same.cidr, same.metadata, same.action) == ("10.0.0.0/8", "m", "allow")
        with refused(1408):
            await ip_policy_rules.update(context, ann.id, two.id, cidr="10.0.0.0/8")
        with refused(1404):
            await ip_policy_rules.update(context, ben.id, one.id, metadata="x")
        with refused(1402):
            await ip_policy_rules.create(context, ben.id, policy.id, "10.2.0.0/16", "allow")
        async with context.database.read() as connection:
            noted = await changes.after(connection, 0)
        assert [each.subject_id for each in noted if each.kind == changes.IP_RULE] == [one.id, two.id, one.id]


async def test_a_rule_needs_its_policy(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        for policy_id, code in (
            ("", 1405), ("ipr_" + "0" * 27, 229), ("x", 229), ("ipp_", 1414), ("ipp_a b", 1414), (ID, 1402),
        ):  # fmt: skip
            with refused(code):
                await ip_policy_rules.create(plain, "ac_1", policy_id, "10.0.0.0/8", "allow")
