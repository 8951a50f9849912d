"""Certificate authorities that accounts upload: who may vouch for visitors that show a certificate."""

from typing import Final

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import changes, ip_tables
from portway.control.store.rows import AnyRow
from portway.control.store.tables import certificate_authorities
from portway.errors import Error
from portway.model.certificate import CertificateAuthority
from portway.model.ids import new_id

_TEXTS: Final = (1914, 1915)
_GATE: Final = plans.Gate("authorities", "certificate authorities", certificate_authorities, 1918, 1954, 1954)


def _read(row: AnyRow) -> CertificateAuthority:
    from portway.control.certificates.inspect import facts_in  # X.509 is large, and few upload any

    return CertificateAuthority(
        id=row.id,
        account_id=row.account_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        pem=row.ca_pem,
        facts=facts_in(row.ca_pem),
    )


NOUN: Final = Noun(
    certificate_authorities,
    _read,
    shown.certificate_authority,
    changes.CERTIFICATE_AUTHORITY,
    "certificate_authority",
)
get, listed = NOUN.get, NOUN.listed


async def create(
    context: Context, account_id: str, ca_pem: str, *, description: str = "", metadata: str = ""
) -> CertificateAuthority:
    """Take an upload. Raises Error 1900, 1910–1915, 1918–1922, 1925 or 1954."""
    from portway.control.certificates.inspect import read_authority

    texts.check(description, metadata, _TEXTS)
    pem, facts = read_authority(ca_pem)
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
        made = CertificateAuthority(str(values["id"]), account_id, description, metadata, now, pem, facts)
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    authority_id: str,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> CertificateAuthority:
    """Change the texts of an authority; nothing given changes nothing. Raises Error 1914, 1915, NotFound."""
    return await NOUN.change_texts(context, account_id, authority_id, _TEXTS, description, metadata)


async def delete(context: Context, account_id: str, authority_id: str) -> None:
    """Forget an authority. Raises NotFound; Error 251 while an edge or a cloud endpoint names it.

    Without it they could serve nobody. What agents have brought along may name one that goes: it is looked
    up when it is brought.
    """
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, authority_id)
        user = await ip_tables.named_by(connection, account_id, authority_id)
        if user is not None:
            raise Error(f"{user} asks its visitors for certificates of this authority.", 251)
        await NOUN.remove(context, connection, gone)
