"""TLS certificates that accounts upload, to be attached to their domains.

The private key is sealed when it arrives and leaves only towards the data plane (:func:`key_pair`): no
answer and no log has it.
"""

import logging
from typing import Final

from portway.control.service import plans, shown, texts
from portway.control.service.context import Context
from portway.control.service.noun import Noun
from portway.control.store import changes
from portway.control.store import tls_certificates as store
from portway.control.store.rows import AnyRow
from portway.control.store.tables import tls_certificates
from portway.errors import ConfigError, Error, NotFound
from portway.model.certificate import TlsCertificate
from portway.model.ids import new_id

_log = logging.getLogger(__name__)

_TEXTS: Final = (1916, 1917)
_GATE: Final = plans.Gate("certificates", "uploaded certificates", tls_certificates, 1904, 5000, 5000)


def _read(row: AnyRow) -> TlsCertificate:
    from portway.control.certificates.inspect import facts_in  # X.509 is large, and few upload any

    return TlsCertificate(
        id=row.id,
        account_id=row.account_id,
        description=row.description,
        metadata=row.metadata,
        created_at=row.created_at,
        chain=row.certificate_pem,
        facts=facts_in(row.certificate_pem),
        issued_at=row.issued_at,
    )


NOUN: Final = Noun(tls_certificates, _read, shown.tls_certificate, changes.TLS_CERTIFICATE, "tls_certificate")
get, listed = NOUN.get, NOUN.listed


async def create(
    context: Context,
    account_id: str,
    certificate_pem: str,
    private_key_pem: str,
    *,
    description: str = "",
    metadata: str = "",
) -> TlsCertificate:
    """Take an upload. Raises Error 1900–1904, 1910, 1911, 1916, 1917, 1919–1926 or 5000."""
    from portway.control.certificates.inspect import read_pair

    texts.check(description, metadata, _TEXTS)
    pair = read_pair(certificate_pem, private_key_pem)
    now = context.now()
    made = TlsCertificate(
        id=new_id("cert", context.random, now),
        account_id=account_id,
        description=description,
        metadata=metadata,
        created_at=now,
        chain=pair.chain,
        facts=pair.facts,
    )
    try:
        sealed = context.seal.seal(pair.key.encode(), made.id)
    except ConfigError as error:
        raise _no_key(error) from error
    async with context.database.write() as connection:
        await plans.check_room(context, connection, account_id, _GATE)
        values = {
            "id": made.id,
            "account_id": account_id,
            "description": description,
            "metadata": metadata,
            "created_at": now,
            "certificate_pem": made.chain,
            "sealed_key": sealed,
            "subject_common_name": made.facts.subject_common_name,
            "serial_number": made.facts.serial_number,
            "not_before": made.facts.not_before,
            "not_after": made.facts.not_after,
        }
        await NOUN.add(context, connection, values, made)
    return made


async def update(
    context: Context,
    account_id: str,
    certificate_id: str,
    *,
    description: str | None = None,
    metadata: str | None = None,
) -> TlsCertificate:
    """Change the texts of a certificate; nothing given changes nothing. Raises Error 1916, 1917, NotFound."""
    return await NOUN.change_texts(context, account_id, certificate_id, _TEXTS, description, metadata)


async def delete(context: Context, account_id: str, certificate_id: str) -> None:
    """Forget a certificate and its key.

    Raises NotFound; Error 1966 when it is issued automatically, 251 while it is attached to a domain.
    """
    async with context.database.write() as connection:
        gone = await NOUN.find(connection, account_id, certificate_id)
        if gone.issued_at is not None:
            raise Error("The certificate is managed automatically; delete its domain instead.", 1966)
        domain = await store.domain_with(connection, certificate_id)
        if domain is not None:
            raise Error(f"The certificate is attached to {domain}; detach it first.", 251)
        await NOUN.remove(context, connection, gone)


async def key_pair(context: Context, certificate_id: str) -> tuple[str, str]:
    """Return chain and key, both PEM, for the data plane alone. Raises NotFound, Error 128."""
    async with context.database.read() as connection:
        found = await store.sealed(connection, certificate_id)
    if found is None:
        raise NotFound
    chain, sealed = found
    try:
        return chain, context.seal.open(sealed, certificate_id).decode()
    except ConfigError as error:
        raise _no_key(error) from error


def _no_key(error: ConfigError) -> Error:
    """Make the refusal, and log what only the operator may know."""
    _log.error("%s", error)
    return Error("The private keys of this service cannot be used now; its log says why.", 128)
