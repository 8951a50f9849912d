"""Uploaded authorities through their whole life."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.names import configured, noted, refused, two_accounts
from tests.kit.store import Clock, opened
from tests.kit.x509 import make

from portway.control.service import certificate_authorities, cloud_endpoints, edges
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.errors import NotFound
from portway.model.plan import Plan

ROOT = make("root", ca=True)


async def test_an_authority_from_upload_to_end(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        account, _ = await two_accounts(context)
        made = await certificate_authorities.create(
            context, account.id, ROOT.pem, description="d", metadata="m"
        )
        assert made.id.startswith("ca_")
        assert (made.description, made.metadata, made.created_at) == ("d", "m", clock.now)
        assert made.pem == ROOT.pem
        assert made.facts.subject_common_name == "root"
        assert await certificate_authorities.get(context, account.id, made.id) == made
        assert await certificate_authorities.listed(context, account.id, Page()) == [made]
        assert await certificate_authorities.update(context, account.id, made.id) == made
        changed = await certificate_authorities.update(context, account.id, made.id, metadata="")
        assert changed == replace(made, metadata="")
        await certificate_authorities.delete(context, account.id, made.id)
        assert await noted(context) == [(changes.CERTIFICATE_AUTHORITY, made.id)] * 3
        with pytest.raises(NotFound):
            await certificate_authorities.get(context, account.id, made.id)


async def test_refusals(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account, _ = await two_accounts(context)
        for code, pem, description, metadata in (
            (1913, make(number=1).pem, "", ""),
            (1912, ROOT.pem * 2, "", ""),
            (1914, ROOT.pem, "x" * 256, ""),
            (1915, ROOT.pem, "", "x" * 4097),
        ):
            with refused(code):
                await certificate_authorities.create(
                    context, account.id, pem, description=description, metadata=metadata
                )
        assert await certificate_authorities.listed(context, account.id, Page()) == []
        made = await certificate_authorities.create(context, account.id, ROOT.pem)
        with refused(1914):
            await certificate_authorities.update(context, account.id, made.id, description="x" * 256)
        with refused(1915):
            await certificate_authorities.update(context, account.id, made.id, metadata="x" * 4097)


async def test_an_authority_of_somebody_else_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account, other = await two_accounts(context)
        made = await certificate_authorities.create(context, account.id, ROOT.pem)
        told = set[str]()
        for owner, authority_id in ((other.id, made.id), (account.id, "ca_x"), ("ac_x", made.id)):
            for attempt in (
                certificate_authorities.get(context, owner, authority_id),
                certificate_authorities.update(context, owner, authority_id),
                certificate_authorities.update(context, owner, authority_id, description="mine"),
                certificate_authorities.delete(context, owner, authority_id),
            ):
                with pytest.raises(NotFound) as caught:
                    await attempt
                told.add(str(caught.value))
        assert len(told) == 1
        assert await certificate_authorities.listed(context, other.id, Page()) == []
        assert await certificate_authorities.listed(context, account.id, Page()) == [made]


async def test_an_authority_that_is_asked_for_stays(tmp_path: Path) -> None:
    policy = """
        on_tcp_connect:
          - actions:
              - {type: terminate-tls, config: {mutual_tls_certificate_authorities: [%s]}}
              - {type: deny}
        """
    async with opened(tmp_path) as bare:
        context = configured(bare, tmp_path)
        account, other = await two_accounts(context)
        by_edge, by_endpoint = [
            await certificate_authorities.create(context, account.id, ROOT.pem) for _ in range(2)
        ]
        asks = {"certificate_authority_ids": [by_edge.id], "enabled": False}
        edge = await edges.create(context, account.id, "https", modules={"mutual_tls": asks})
        wish = cloud_endpoints.Wish(url="tls://a.internal", traffic_policy=policy % by_endpoint.id)
        endpoint = await cloud_endpoints.create(context, account.id, wish)
        for each in (by_edge, by_endpoint):
            with refused(251):
                await certificate_authorities.delete(context, account.id, each.id)
            with pytest.raises(NotFound):
                await certificate_authorities.delete(context, other.id, each.id)
        await edges.delete_module(context, account.id, "https", edge.id, "mutual_tls")
        await cloud_endpoints.delete(context, account.id, endpoint.id)
        for each in (by_edge, by_endpoint):
            await certificate_authorities.delete(context, account.id, each.id)


@pytest.mark.parametrize(("limit", "code"), [(0, 1918), (1, 1954)])
async def test_plans_bound_authorities(tmp_path: Path, limit: int, code: int) -> None:
    async with opened(tmp_path) as context:
        account, _ = await two_accounts(context)
        await certificate_authorities.create(context, account.id, ROOT.pem)
        bounded = configured(context, tmp_path, plans={"free": Plan(authorities=limit)})
        with refused(code):
            await certificate_authorities.create(bounded, account.id, ROOT.pem)
