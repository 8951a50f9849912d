"""What the operator does for accounts."""

from pathlib import Path

import pytest
from tests.kit.names import DOMAIN, PORTS, configured, refused, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import ip_policies, ip_restrictions, operator
from portway.errors import Error, NotFound


async def test_addresses(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        ann, ben = await two_accounts(context)
        one = await operator.add_address(context, "ann", "database")
        assert (one.account_id, one.description) == (ann.id, "database")
        clock.now += 1
        two = await operator.add_address(context, ben.id)
        assert await operator.addresses(context) == [two, one]
        assert await operator.addresses(context, "ann") == [one]
        assert await operator.remove_address(context, one.addr) == one
        assert await operator.remove_address(context, two.id) == two
        assert await operator.addresses(context) == []
        for gone in (one.addr, two.id, "nonsense", f"{one.host}:{PORTS[0]}"):
            with pytest.raises(NotFound, match="no TCP address"):
                await operator.remove_address(context, gone)
        with pytest.raises(Error, match="several accounts"):
            await operator.add_address(context)


async def test_domains(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        ann, _ = await two_accounts(context)
        one = await operator.add_domain(context, f"app.{DOMAIN}", "ann", "shop")
        assert (one.account_id, one.domain, one.description) == (ann.id, f"app.{DOMAIN}", "shop")
        with refused(414):
            await operator.add_domain(context, f"app.{DOMAIN}", "ben")
        two = await operator.add_domain(context, "*.example.com", "ben")
        every = await operator.domains(context)
        assert {each.domain for each in every if not each.is_dev} == {one.domain, two.domain}
        assert len([each for each in every if each.is_dev]) == 2, "every account has its own"
        assert {each.account_id for each in await operator.domains(context, "ann")} == {ann.id}
        assert await operator.remove_domain(context, f"APP.{DOMAIN}.") == one
        assert await operator.remove_domain(context, two.id) == two
        for gone in (one.domain, two.id, "nonsense"):
            with pytest.raises(NotFound, match="no reserved domain"):
                await operator.remove_domain(context, gone)


async def test_more_than_a_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        await two_accounts(context)
        names = {f"n{number}.{DOMAIN}" for number in range(101)}
        for name in names:
            await operator.add_domain(context, name, "ann")
        assert {each.domain for each in await operator.domains(context, "ann") if not each.is_dev} == names


async def test_a_restriction_is_lifted_for_whoever_has_locked_himself_out(tmp_path: Path) -> None:
    async with opened(tmp_path, Clock()) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        made: list[str] = []
        for each in (ann, ben):
            policy = await ip_policies.create(context, each.id)
            held = await ip_restrictions.create(context, each.id, "api", [policy.id], enforced=True)
            made.append(held.id)
        assert {each.id for each in await operator.restrictions(context)} == set(made)
        assert [each.id for each in await operator.restrictions(context, "ben")] == made[1:]
        assert (await operator.lift_restriction(context, made[0])).account_id == ann.id
        assert [each.id for each in await operator.restrictions(context)] == made[1:]
        with pytest.raises(NotFound):
            await operator.lift_restriction(context, made[0])
