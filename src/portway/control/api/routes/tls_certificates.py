"""/tls_certificates: certificates that accounts upload for their domains. No answer holds a key."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import shown, tls_certificates
from portway.control.service.context import Context
from portway.model.certificate import TlsCertificate

router = APIRouter(prefix="/tls_certificates", tags=["tls_certificates"])

FIELDS: Final = frozenset({"subject_common_name", "not_after", "not_before", "serial_number"})

Id = Annotated[str, Depends(path_id("cert"))]


class AlternativeNames(Answer):
    """The names and addresses that a certificate is for."""

    dns_names: list[str]
    ips: list[str]


class TlsCertificateAnswer(Answer):
    """A certificate chain and what stands in its leaf. ``issued_at`` is null when it was uploaded."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    certificate_pem: str
    subject_common_name: str
    subject_alternative_names: AlternativeNames
    issued_at: Timestamp | None
    not_before: Timestamp
    not_after: Timestamp
    key_usages: list[str]
    extended_key_usages: list[str]
    private_key_type: str
    issuer_common_name: str
    serial_number: str
    subject_organization: str
    subject_organizational_unit: str
    subject_locality: str
    subject_province: str
    subject_country: str


class TlsCertificateList(Answer):
    """A page of certificates."""

    tls_certificates: list[TlsCertificateAnswer]
    uri: str
    next_page_uri: str | None


class TlsCertificateCreate(Given):
    """A new certificate with its key."""

    certificate_pem: str | None = Field(None, description="The chain, PEM: the server's certificate first.")
    private_key_pem: str | None = Field(
        None, description="Its key, PEM, not encrypted: RSA, ECDSA or Ed25519. It is never shown again."
    )
    description: Description = None
    metadata: Metadata = None

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Leave the key out of every repr: they end up in logs."""
        return [(name, value) for name, value in super().__repr_args__() if name != "private_key_pem"]


class TlsCertificateUpdate(Given):
    """What to change of a certificate."""

    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=TlsCertificateAnswer)
async def create(who: Who, context: Ctx, given: TlsCertificateCreate) -> TlsCertificateAnswer:
    """Upload a certificate chain and its private key."""
    made = await tls_certificates.create(
        context,
        who.account_id,
        given.certificate_pem or "",
        given.private_key_pem or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=TlsCertificateAnswer)
async def update(who: Who, context: Ctx, id: Id, given: TlsCertificateUpdate) -> TlsCertificateAnswer:  # noqa: A002
    """Change the texts of a certificate."""
    changed = await tls_certificates.update(
        context, who.account_id, id, description=given.description, metadata=given.metadata
    )
    return _shown(context, changed)


def _shown(context: Context, each: TlsCertificate) -> TlsCertificateAnswer:
    return TlsCertificateAnswer.model_validate(shown.tls_certificate(context.settings, each))


_common = Common(router, "cert", TlsCertificateAnswer, _shown)
_common.list(
    TlsCertificateList,
    "tls_certificates",
    FIELDS,
    tls_certificates.listed,
    "List the certificates of the account.",
)
_common.get(tls_certificates.get, "Return one certificate.")
_common.delete(tls_certificates.delete, "Forget a certificate and its key; it must be attached to no domain.")
