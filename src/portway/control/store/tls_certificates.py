"""Queries on TLS certificates that no other noun has."""

from sqlalchemy import literal, select, union_all

from portway.control.measures import Expiry
from portway.control.store.core import AsyncConnection
from portway.control.store.tables import certificate_authorities, reserved_domains, tls_certificates


async def sealed(connection: AsyncConnection, certificate_id: str) -> tuple[str, bytes] | None:
    """Return chain and sealed key of a certificate, whoever has it."""
    query = select(tls_certificates.c.certificate_pem, tls_certificates.c.sealed_key).where(
        tls_certificates.c.id == certificate_id
    )
    row = (await connection.execute(query)).first()
    return (row[0], row[1]) if row else None


async def domain_with(connection: AsyncConnection, certificate_id: str) -> str | None:
    """Return the name of a domain to which a certificate is attached, if there is any."""
    query = select(reserved_domains.c.domain).where(reserved_domains.c.certificate_id == certificate_id)
    return (await connection.execute(query.limit(1))).scalar()


async def expiring(connection: AsyncConnection, limit: int) -> list[Expiry]:
    """Return certificates and authorities of all accounts, those first that end first."""
    both = union_all(
        *(
            select(literal(kind), table.c.id, table.c.subject_common_name, table.c.not_after.label("ends"))
            for kind, table in (
                ("tls_certificate", tls_certificates),
                ("certificate_authority", certificate_authorities),
            )
        )
    )
    return [Expiry(*row) for row in await connection.execute(both.order_by("ends").limit(limit))]
