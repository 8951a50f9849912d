"""Queries on TLS certificates."""

from pathlib import Path

from tests.kit.names import configured, two_accounts
from tests.kit.store import opened
from tests.kit.x509 import make

from portway.control.service import reserved_domains, tls_certificates
from portway.control.service.reserved_domains import Wish
from portway.control.store import tls_certificates as store


async def test_the_sealed_key_and_the_domain_that_uses_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        context = configured(context, tmp_path)
        account, _ = await two_accounts(context)
        made = make()
        one = await tls_certificates.create(context, account.id, made.pem, made.key_pem)
        two = await tls_certificates.create(context, account.id, made.pem, made.key_pem)
        await reserved_domains.create(context, account.id, "a.example.com", Wish(certificate_id=one.id))
        async with context.database.read() as connection:
            found = await store.sealed(connection, one.id)
            assert found is not None
            assert found[0] == made.pem
            assert context.seal.open(found[1], one.id).decode() == made.key_pem
            assert await store.sealed(connection, "cert_x") is None
            assert await store.domain_with(connection, one.id) == "a.example.com"
            assert await store.domain_with(connection, two.id) is None
            expiring = await store.expiring(connection, 10)
            assert {(each.kind, each.id) for each in expiring} == {
                ("tls_certificate", one.id),
                ("tls_certificate", two.id),
            }
            assert {each.not_after for each in expiring} == {one.facts.not_after}
            assert len(await store.expiring(connection, 1)) == 1
