"""IP restrictions: what they say of an address, and whom they never keep out."""

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import ip_policies, ip_policy_rules, ip_restrictions
from portway.control.service.ip_restrictions import Standing, standing
from portway.control.store import accounts as account_store
from portway.model.entities import Account
from portway.model.plan import Plan

HERE, THERE = "203.0.113.7", "198.51.100.7"


async def test_who_may_come_follows_each_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        assert await standing(context, ann.id, "api", THERE) is Standing.FREE
        policy = await ip_policies.create(context, ann.id)
        rule = await ip_policy_rules.create(context, ann.id, policy.id, "203.0.113.0/24", "allow")
        held = await ip_restrictions.create(context, ann.id, "api", [policy.id])
        with caplog.at_level(logging.WARNING):
            assert await standing(context, ann.id, "api", THERE) is Standing.WARNED
        assert THERE in caplog.text
        await ip_restrictions.check_api(context, ann.id, THERE)
        await ip_restrictions.update(context, ann.id, held.id, enforced=True)
        assert await standing(context, ann.id, "api", THERE) is Standing.REFUSED
        assert await standing(context, ann.id, "api", HERE) is Standing.ALLOWED
        assert await standing(context, ann.id, "api", f"::ffff:{HERE}") is Standing.ALLOWED
        assert await standing(context, ann.id, "agent", THERE) is Standing.FREE
        assert await standing(context, ben.id, "api", THERE) is Standing.FREE
        with refused(220):
            await ip_restrictions.check_api(context, ann.id, THERE)
        await ip_policy_rules.create(context, ann.id, policy.id, "203.0.113.7/32", "deny")
        assert await standing(context, ann.id, "api", HERE) is Standing.REFUSED
        await ip_policy_rules.update(context, ann.id, rule.id, cidr="198.51.100.0/24")
        assert await standing(context, ann.id, "api", THERE) is Standing.ALLOWED
        await ip_restrictions.delete(context, ann.id, held.id)
        assert await standing(context, ann.id, "api", HERE) is Standing.FREE


async def test_the_operator_is_never_locked_out(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        settings = replace(context.settings, admin_cidrs=("192.0.2.0/24", "2001:db8::/64"))
        context = replace(context, settings=settings)
        ann, _ = await two_accounts(context)
        empty = await ip_policies.create(context, ann.id)
        for kind in ("api", "dashboard", "agent"):
            await ip_restrictions.create(context, ann.id, kind, [empty.id], enforced=True)
        for kind in ("api", "dashboard"):
            for address in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "192.0.2.9", ""):
                assert await standing(context, ann.id, kind, address) is Standing.FREE, address
            assert await standing(context, ann.id, kind, "2001:db8::9") is Standing.FREE
            for address in ("192.0.3.9", "2001:db8:1::9", "nonsense"):
                assert await standing(context, ann.id, kind, address) is Standing.REFUSED, address
        with refused(115):
            await ip_restrictions.check_agent(context, ann.id, "127.0.0.1")


async def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ip_restrictions, "POLICIES", 2)
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path, plans={"none": Plan(ip_restrictions=False)})
        ann, ben = await two_accounts(context)
        mine = [(await ip_policies.create(context, ann.id)).id for _ in range(3)]
        create = ip_restrictions.create
        for kind, ids, code in (
            ("", mine[:1], 1803), ("agents", mine[:1], 1803), ("api", [], 1804), ("api", mine, 1800),
            ("api", ["ipx_1"], 229), ("api", ["ipp_"], 1414), ("api", ["ipp_nobody"], 1801),
        ):  # fmt: skip
            with refused(code):
                await create(context, ann.id, kind, ids)
        with refused(1801):
            await create(context, ben.id, "api", mine[:1])
        made = await create(context, ann.id, "api", [mine[0], mine[0]])
        assert made.ip_policy_ids == (mine[0],)
        with refused(1802):
            await create(context, ann.id, "api", mine[1:2])
        async with context.database.write() as connection:
            await account_store.add(connection, Account("ac_none", "none", "none", 1.0))
        for kind, code in (("dashboard", 1805), ("api", 1806), ("agent", 1807), ("endpoints", 1808)):
            with refused(code):
                await create(context, "ac_none", kind, mine[:1])
