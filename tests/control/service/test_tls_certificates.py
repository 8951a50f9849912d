"""Uploaded certificates through their whole life."""

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import select, update
from tests.kit.names import configured, noted, refused, two_accounts
from tests.kit.store import Clock, opened
from tests.kit.x509 import make

from portway.control.certificates.seal import Seal
from portway.control.service import reserved_domains, tls_certificates
from portway.control.service.reserved_domains import Wish
from portway.control.store import changes
from portway.control.store.rows import Page
from portway.control.store.tables import tls_certificates as table
from portway.errors import NotFound
from portway.model.plan import Plan

MADE = make(names=["www.example.com"])


@pytest.mark.row("C18")
async def test_an_upload_is_kept_and_its_key_is_seen_by_nobody(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = await tls_certificates.create(
            context, account.id, MADE.pem, MADE.key_pem, description="d", metadata="m"
        )
        assert made.id.startswith("cert_")
        assert (made.description, made.metadata, made.created_at, made.issued_at) == (
            "d",
            "m",
            clock.now,
            None,
        )
        assert made.chain == MADE.pem
        assert made.facts.dns_names == ("www.example.com",)
        assert await tls_certificates.get(context, account.id, made.id) == made
        assert await tls_certificates.listed(context, account.id, Page()) == [made]
        assert "PRIVATE" not in repr(made)
        assert await noted(context) == [(changes.TLS_CERTIFICATE, made.id)]
        async with context.database.read() as connection:
            row = (await connection.execute(select(table))).one()
        assert (row.subject_common_name, row.serial_number) == ("example.com", "abcdef")
        assert (row.not_before, row.not_after) == (made.facts.not_before, made.facts.not_after)
        body = MADE.key_pem.splitlines()[1]
        assert body not in str(row)
        assert body.encode() not in row.sealed_key
        assert await tls_certificates.key_pair(context, made.id) == (MADE.pem, MADE.key_pem)
        with pytest.raises(NotFound):
            await tls_certificates.key_pair(context, "cert_x")


async def test_bad_uploads_leave_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        for code, chain, key, text in (
            (1919, "", MADE.key_pem, ""),
            (1923, MADE.pem, make(number=7).key_pem, ""),
            (1925, MADE.key_pem, MADE.pem, ""),
            (1916, MADE.pem, MADE.key_pem, "x" * 256),
        ):
            with refused(code):
                await tls_certificates.create(context, account.id, chain, key, description=text)
        with refused(1917):
            await tls_certificates.create(context, account.id, MADE.pem, MADE.key_pem, metadata="x" * 4097)
        assert await noted(context) == []
        assert await tls_certificates.listed(context, account.id, Page()) == []


async def test_texts_change(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = await tls_certificates.create(context, account.id, MADE.pem, MADE.key_pem, metadata="m")
        assert await tls_certificates.update(context, account.id, made.id) == made
        changed = await tls_certificates.update(context, account.id, made.id, description="new")
        assert changed == replace(made, description="new")
        for code, texts in {1916: {"description": "x" * 256}, 1917: {"metadata": "x" * 4097}}.items():
            with refused(code):
                await tls_certificates.update(context, account.id, made.id, **texts)


async def test_a_certificate_in_use_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = await tls_certificates.create(context, account.id, MADE.pem, MADE.key_pem)
        wish = Wish(certificate_id=made.id)
        domain = await reserved_domains.create(context, account.id, "www.example.com", wish)
        with refused(251):
            await tls_certificates.delete(context, account.id, made.id)
        await reserved_domains.detach_certificate(context, account.id, domain.id)
        async with context.database.write() as connection:
            await connection.execute(update(table).values(issued_at=1.0))
        with refused(1966):
            await tls_certificates.delete(context, account.id, made.id)
        async with context.database.write() as connection:
            await connection.execute(update(table).values(issued_at=None))
        await tls_certificates.delete(context, account.id, made.id)
        assert (await noted(context))[-1] == (changes.TLS_CERTIFICATE, made.id)
        with pytest.raises(NotFound):
            await tls_certificates.get(context, account.id, made.id)


async def test_a_certificate_of_somebody_else_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, other = await two_accounts(context)
        made = await tls_certificates.create(context, account.id, MADE.pem, MADE.key_pem)
        told = set[str]()
        for owner, certificate_id in ((other.id, made.id), (account.id, "cert_x"), ("ac_x", made.id)):
            for attempt in (
                tls_certificates.get(context, owner, certificate_id),
                tls_certificates.update(context, owner, certificate_id),
                tls_certificates.update(context, owner, certificate_id, description="mine"),
                tls_certificates.delete(context, owner, certificate_id),
            ):
                with pytest.raises(NotFound) as caught:
                    await attempt
                told.add(str(caught.value))
        assert len(told) == 1
        assert await tls_certificates.listed(context, other.id, Page()) == []


async def test_without_the_key_of_the_store_only_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = await tls_certificates.create(context, account.id, MADE.pem, MADE.key_pem)
        for seal in (Seal(tmp_path / "lost.key"), Seal()):
            without = replace(context, seal=seal)
            with refused(128):
                await tls_certificates.key_pair(without, made.id)
        with refused(128), caplog.at_level(logging.ERROR):
            await tls_certificates.create(without, account.id, MADE.pem, MADE.key_pem)
        assert "lost.key: the key of the store's secrets cannot be read" in caplog.text


async def test_plans_bound_uploads(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        account, _ = await two_accounts(context)
        one = configured(context, tmp_path, plans={"free": Plan(certificates=1)})
        await tls_certificates.create(one, account.id, MADE.pem, MADE.key_pem)
        with refused(5000):
            await tls_certificates.create(one, account.id, MADE.pem, MADE.key_pem)
        none = configured(context, tmp_path, plans={"free": Plan(certificates=0)})
        with refused(1904):
            await tls_certificates.create(none, account.id, MADE.pem, MADE.key_pem)
