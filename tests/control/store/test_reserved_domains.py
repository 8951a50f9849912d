"""Queries on reserved domains."""

from pathlib import Path

from tests.kit.names import configured, two_accounts
from tests.kit.store import opened

from portway.control.service import reservations
from portway.control.service import reserved_domains as service
from portway.control.service.reserved_domains import Wish
from portway.control.store import reserved_domains


async def test_names_and_what_is_below_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        mine, theirs = await two_accounts(context)
        one = await service.create(context, mine.id, "a.example.com", Wish(resolves_to=["local"]))
        two = await service.create(context, mine.id, "*.a.example.com", Wish(description="d"))
        async with context.database.read() as connection:
            found = await reserved_domains.named(connection, ["a.example.com", "*.a.example.com", "x.com"])
            assert sorted(found, key=lambda each: each.domain, reverse=True) == [one, two]
            assert await reserved_domains.below(connection, "example.com", theirs.id) in {one, two}
            assert await reserved_domains.below(connection, "example.com", mine.id) is None
            assert await reserved_domains.below(connection, "xample.com", theirs.id) is None
            assert not await reserved_domains.is_used(connection, one.id)


async def test_who_is_online_at_a_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        mine, theirs = await two_accounts(context)
        await reservations.reserve(context, "https://a.b.example.com:7443", theirs.id, "s")
        await reservations.reserve(context, "tls://c.example.com", theirs.id, "s")
        await reservations.hold(context, "tls://c.example.com", 10.0)

        async def online(name: str, account_id: str = mine.id, now: float = 5.0) -> bool:
            async with context.database.read() as connection:
                return await reserved_domains.online(connection, name, account_id, now)

        for name in ("a.b.example.com", "b.example.com", "*.b.example.com", "c.example.com"):
            assert await online(name), name
            assert not await online(name, theirs.id), name
        for name in ("*.a.b.example.com", ".b.example.com", "ample.com", "d.example.com", "*.c.example.com"):
            assert not await online(name), name
        assert not await online("c.example.com", now=11.0)
