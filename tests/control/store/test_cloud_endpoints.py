"""Queries on cloud endpoints, and on what endpoints refer to."""

from pathlib import Path

from msgspec.structs import replace
from tests.kit.names import configured, two_accounts
from tests.kit.store import opened

from portway.control.service import credentials, reserved_addrs, reserved_domains
from portway.control.service.keys import Texts
from portway.control.store import cloud_endpoints as store
from portway.control.store import nouns, rows
from portway.control.store.rows import Page
from portway.control.store.tables import cloud_endpoints
from portway.model.cloud_endpoint import CloudEndpoint


async def test_a_row_is_its_value(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        ann, ben = await two_accounts(context)
        one = CloudEndpoint(
            id="ep_1",
            account_id=ann.id,
            url="https://a.internal",
            binding="internal",
            pooling_enabled=True,
            traffic_policy="{}",
            description="d",
            metadata="m",
            created_at=1.5,
            updated_at=2.5,
        )
        two = replace(one, id="ep_2", account_id=ben.id)
        three = replace(one, id="ep_3", url="https://b.internal")
        async with context.database.write() as connection:
            for each in (two, one, three):
                await nouns.add(connection, cloud_endpoints, store.values(each))
        async with context.database.read() as connection:
            assert await store.at(connection, ["https://a.internal", "https://x"]) == [one, two]

            async def found(ids: list[str], urls: list[str]) -> list[CloudEndpoint]:
                narrowed = store.named(ids, urls)
                page = await rows.page(connection, cloud_endpoints, ann.id, Page(), *narrowed)
                return [store.read(row) for row in page]

            assert await found([], []) == [three, one]
            assert await found(["ep_1", "ep_2"], []) == [one]
            assert await found([], [three.url]) == [three]
            assert await found(["ep_1"], [three.url]) == []


async def test_references_are_looked_for_within_the_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        domain = await reserved_domains.create(context, ann.id, "a.example.com", reserved_domains.Wish())
        addr = await reserved_addrs.create(context, ann.id)
        key = (await credentials.create(context, ann.id, Texts(), "usr_1")).value
        place = (addr.host, addr.port)
        async with context.database.read() as connection:
            names = {"a.example.com", "example.com"}
            assert await store.domains(connection, ann.id, names) == {"a.example.com": domain.id}
            assert await store.domains(connection, ben.id, names) == {}
            assert await store.addresses(connection, ann.id, {place, ("x", 1)}) == {place: addr.id}
            assert await store.addresses(connection, ben.id, {place}) == {}
            assert await store.owners(connection, ann.id, {key.id, "cr_x"}) == {key.id: "usr_1"}
            assert await store.owners(connection, ben.id, {key.id}) == {}
