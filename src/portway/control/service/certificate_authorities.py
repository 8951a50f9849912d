"""Certificate authorities that accounts upload: who may vouch for visitors that show a certificate."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine import Row

from portway.control.certificates import inspect
from portway.control.certificates.inspect import Facts
from portway.control.service import audit, plans, shown, texts
from portway.control.service.context import Context
from portway.control.store import changes, ip_tables, nouns, rows
from portway.control.store.core import AsyncConnection
from portway.control.store.rows import Page
from portway.control.store.tables import certificate_authorities
from portway.errors import Error, NotFound
from portway.model.ids import new_id

_TEXTS: Final = (1914, 1915)
_GATE: Final = plans.Gate("authorities", "certificate authorities", certificate_authorities, 1918, 1954, 1954)


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """An authority's certificate. ``created_at`` is Unix seconds."""

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    pem: str
    facts: Facts


async def create(
    context: Context, account_id: str, ca_pem: str, *, description: str = "", metadata: str = ""
) -> CertificateAuthority:
    """Take an upload. Raises Error 1900, 1910–1915, 1918–1922, 1925 or 1954."""
    texts.check(description, metadata, _TEXTS)
    pem, facts = inspect.read_authority(ca_pem)
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE)
        now = context.now()
        values = {
            "id": new_id("ca", context.random, now),
            "account_id": account_id,
            "description": description,
            "metadata": metadata,
            "created_at": now,
            "ca_pem": pem,
            "subject_common_name": facts.subject_common_name,
            "not_before": facts.not_before,
            "not_after": facts.not_after,
        }
        await nouns.add(connection, certificate_authorities, values)
        await changes.note(connection, changes.CERTIFICATE_AUTHORITY, account_id, str(values["id"]), now)
        made = CertificateAuthority(str(values["id"]), account_id, description, metadata, now, pem, facts)
        await _tell(context, connection, "created", made)
    return made


async def get(context: Context, account_id: str, authority_id: str) -> CertificateAuthority:
    """Return an authority of an account. Raises NotFound."""
    async with context.database.read() as connection:
        row = await nouns.find(connection, certificate_authorities, account_id, authority_id)
    if row is None:
        raise NotFound
    return _read(row)


async def listed(context: Context, account_id: str, page: Page) -> list[CertificateAuthority]:
    """Return a page of an account's authorities, newest first, and one beyond it if there are more."""
    async with context.database.read() as connection:
        found = await rows.page(connection, certificate_authorities, account_id, page)
    return [_read(row) for row in found]


async def update(
    context: Context,
    account_id: str,
    authority_id: str,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> CertificateAuthority:
    """Change the texts of an authority; nothing given changes nothing. Raises Error 1914, 1915, NotFound."""
    texts.check(description, metadata, _TEXTS)
    values = texts.given(description=description, metadata=metadata)
    if not values:
        return await get(context, account_id, authority_id)
    async with context.database.write() as connection:
        row = await nouns.change(connection, certificate_authorities, account_id, authority_id, values)
        if row is None:
            raise NotFound
        await changes.note(connection, changes.CERTIFICATE_AUTHORITY, account_id, authority_id, context.now())
        changed = _read(row)
        await _tell(context, connection, "updated", changed)
    return changed


async def delete(context: Context, account_id: str, authority_id: str) -> None:
    """Forget an authority. Raises NotFound; Error 251 while an edge or a cloud endpoint names it.

    Without it they could serve nobody. What agents have brought along may name one that goes: it is looked
    up when it is brought.
    """
    async with context.database.write() as connection:
        row = await nouns.find(connection, certificate_authorities, account_id, authority_id)
        if row is None:
            raise NotFound
        user = await ip_tables.named_by(connection, account_id, authority_id)
        if user is not None:
            raise Error(f"{user} asks its visitors for certificates of this authority.", 251)
        await nouns.remove(connection, certificate_authorities, account_id, authority_id)
        await changes.note(connection, changes.CERTIFICATE_AUTHORITY, account_id, authority_id, context.now())
        await _tell(context, connection, "deleted", _read(row))


async def _tell(
    context: Context, connection: AsyncConnection, action: audit.Action, authority: CertificateAuthority
) -> None:
    seen = shown.certificate_authority(context.settings, authority)
    await audit.note(connection, context, "certificate_authority", action, authority.account_id, seen)


def _read(row: Row[Any]) -> CertificateAuthority:
    return CertificateAuthority(
        id=row.id,
        account_id=row.account_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        pem=row.ca_pem,
        facts=inspect.facts_in(row.ca_pem),
    )
