"""The endpoints of an account, of both kinds, and what they refer to."""

from pathlib import Path
from typing import Any

import pytest
from tests.kit.live import NOW, an_id, live_endpoint, live_session, tell
from tests.kit.names import DOMAIN, configured, two_accounts
from tests.kit.store import Clock, opened

from portway.control.service import cloud_endpoints, credentials, endpoints, reserved_addrs, reserved_domains
from portway.control.service.cloud_endpoints import Wish
from portway.control.service.endpoints import Wanted
from portway.control.service.keys import Texts
from portway.control.store.rows import Page
from portway.errors import NotFound

POLICY = "on_http_request: [{actions: [{type: deny}]}]"
APP = f"app.{DOMAIN}"


async def test_both_kinds_stand_in_one_list_from_the_newest(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        await reserved_domains.create(context, ann.id, APP, reserved_domains.Wish())
        made: list[str] = []
        for number in range(6):
            clock.now = NOW + number
            if number % 2:
                url = f"https://{number}.{APP}"
                cloud = await cloud_endpoints.create(context, ann.id, Wish(url=url, traffic_policy=POLICY))
                made.append(cloud.id)
            else:
                made.append(an_id("ep", number))
                tell(context, live_endpoint(ann.id, number), live_endpoint(ben.id, 100 + number))
        seen: list[str] = []
        while page := await endpoints.listed(context, ann.id, Page(2, seen[-1] if seen else "")):
            assert len(page) <= 3
            seen += [each.id for each in page[:2]]
        assert seen == sorted(made, reverse=True)
        for each in made:
            assert (await endpoints.get(context, ann.id, each)).id == each
            with pytest.raises(NotFound):
                await endpoints.get(context, ben.id, each)


async def test_a_list_is_narrowed_to_identifiers_and_urls(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        await reserved_domains.create(context, ann.id, APP, reserved_domains.Wish())
        cloud = await cloud_endpoints.create(
            context, ann.id, Wish(url=f"https://{APP}", traffic_policy=POLICY)
        )
        one, two = live_endpoint(ann.id, 1), live_endpoint(ann.id, 2)
        tell(context, one, two)

        async def found(account: str, wanted: Wanted) -> set[str]:
            return {each.id for each in await endpoints.listed(context, account, Page(), wanted)}

        assert await found(ann.id, Wanted()) == {cloud.id, one.id, two.id}
        assert await found(ann.id, Wanted(ids=[cloud.id, one.id])) == {cloud.id, one.id}
        assert await found(ann.id, Wanted(urls=[cloud.url, two.url, "https://x"])) == {cloud.id, two.id}
        assert await found(ann.id, Wanted(ids=[one.id, two.id], urls=[two.url])) == {two.id}
        assert await found(ann.id, Wanted(ids=[one.id], urls=[cloud.url])) == set()
        assert await found(ben.id, Wanted(ids=[cloud.id, one.id])) == set()


@pytest.mark.row("T-070")
async def test_what_an_endpoint_refers_to(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        domain = await reserved_domains.create(context, ann.id, APP, reserved_domains.Wish())
        nearer = await reserved_domains.create(context, ann.id, f"*.b.{APP}", reserved_domains.Wish())
        addr = await reserved_addrs.create(context, ann.id)
        key = (await credentials.create(context, ann.id, Texts(), "usr_ann")).value
        fixed = live_endpoint(ann.id, 1, url=f"tcp://{addr.addr}")
        random = live_endpoint(ann.id, 2, url=f"tcp://{addr.host}:{addr.port + 1}")
        web = live_endpoint(ann.id, 3, url=f"https://{APP}:7443", session_id="ts_lost")
        deep = live_endpoint(ann.id, 4, url=f"https://a.b.{APP}:7443")
        foreign = live_endpoint(ben.id, 5, url=f"https://c.{APP}:7443")
        tell(context, live_session(ann.id, 1, credential_id=key.id), fixed, random, web, deep, foreign)
        seen = {each.id: each for each in await endpoints.listed(context, ann.id, Page())}
        assert (seen[fixed.id].tcp_addr_id, seen[fixed.id].domain_id) == (addr.id, "")
        assert (seen[random.id].tcp_addr_id, seen[random.id].domain_id) == ("", "")
        assert (seen[web.id].tcp_addr_id, seen[web.id].domain_id) == ("", domain.id)
        assert seen[deep.id].domain_id == nearer.id
        assert seen[deep.id].principal_id == "usr_ann"
        assert seen[web.id].principal_id == ann.id
        assert (await endpoints.get(context, ben.id, foreign.id)).domain_id == ""


async def test_a_pool_names_its_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = configured(plain, tmp_path)
        ann, _ = await two_accounts(context)
        await reserved_domains.create(context, ann.id, APP, reserved_domains.Wish())
        wish = Wish(url=f"https://{APP}", traffic_policy=POLICY, pooling_enabled=True)
        cloud = await cloud_endpoints.create(context, ann.id, wish)
        shared = [live_endpoint(ann.id, number, url=cloud.url, pooling_enabled=True) for number in (1, 2)]
        tell(context, *shared, live_endpoint(ann.id, 3))
        everyone = {cloud.id, *(each.id for each in shared)}
        for each in everyone:
            assert set((await endpoints.get(context, ann.id, each)).pool) == everyone - {each}
        assert (await endpoints.get(context, ann.id, an_id("ep", 3))).pool == []
        assert set((await endpoints.view(context, cloud)).pool) == everyone - {cloud.id}


@pytest.mark.row("G-184")
async def test_a_pool_of_an_internal_url_is_of_its_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        context = configured(plain, tmp_path)
        ann, ben = await two_accounts(context)
        how: dict[str, Any] = {"url": "http://x.internal", "binding": "internal", "pooling_enabled": True}
        wish = Wish(url=how["url"], traffic_policy=POLICY, pooling_enabled=True)
        cloud = await cloud_endpoints.create(context, ann.id, wish)
        theirs = [live_endpoint(ben.id, number, **how) for number in range(1, 110)]
        mine = live_endpoint(ann.id, 200, **how)
        tell(context, *theirs, mine)
        assert (await endpoints.get(context, ann.id, mine.id)).pool == [cloud.id]
        assert (await endpoints.get(context, ann.id, cloud.id)).pool == [mine.id]
        shown = (await endpoints.get(context, ben.id, theirs[0].id)).pool
        assert set(shown) < {each.id for each in theirs}
        assert len(shown) == endpoints.POOL_SHOWN
