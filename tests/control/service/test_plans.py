"""Plan gates."""

from pathlib import Path

import pytest
from tests.kit.names import configured, refused, two_accounts
from tests.kit.store import opened

from portway.control.service import plans, reserved_addrs
from portway.control.store.tables import reserved_addrs as table
from portway.model.plan import Plan

GATE = plans.Gate("addresses", "TCP addresses", table, 501, 502, 508)


async def test_without_limits_nothing_is_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        assert context.settings.plans == {}
        for _ in range(5):
            await reserved_addrs.create(context, account.id)


@pytest.mark.parametrize(("limits", "code"), [
    ({"free": Plan(addresses=0)}, 501),
    ({"free": Plan(addresses=2)}, 502),
    ({"free": Plan(addresses=2), "big": Plan(addresses=3)}, 508),
    ({"free": Plan(addresses=2), "big": Plan()}, 508),
    ({"big": Plan(addresses=0)}, None),
    ({"free": Plan(addresses=3)}, None),
])  # fmt: skip
async def test_a_plan_bounds_its_accounts(tmp_path: Path, limits: dict[str, Plan], code: int | None) -> None:
    async with opened(tmp_path) as context:
        account, other = await two_accounts(context)
        free = configured(context, tmp_path)
        for owner in (account, account, other):
            await reserved_addrs.create(free, owner.id)
        bounded = configured(context, tmp_path, plans=limits)
        async with bounded.database.write() as connection:
            if code is None:
                await plans.check_room(bounded, connection, account.id, GATE)
                return
            with refused(code):
                await plans.check_room(bounded, connection, account.id, GATE)


async def test_only_what_counts_is_counted(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account, _ = await two_accounts(context)
        bounded = configured(context, tmp_path, plans={"free": Plan(addresses=1)})
        await reserved_addrs.create(bounded, account.id)
        async with bounded.database.write() as connection:
            await plans.check_room(bounded, connection, account.id, GATE, table.c.port < 0)
            with refused(502):
                await plans.check_room(bounded, connection, account.id, GATE, table.c.port > 0)
