"""/certificate_authorities: who may vouch for visitors that show a certificate."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import certificate_authorities, shown
from portway.control.service.context import Context
from portway.model.certificate import CertificateAuthority

router = APIRouter(prefix="/certificate_authorities", tags=["certificate_authorities"])

FIELDS: Final = frozenset({"subject_common_name", "not_before", "not_after"})

Id = Annotated[str, Depends(path_id("ca"))]


class CertificateAuthorityAnswer(Answer):
    """The certificate of an authority."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    ca_pem: str
    subject_common_name: str
    not_before: Timestamp
    not_after: Timestamp
    key_usages: list[str]
    extended_key_usages: list[str]


class CertificateAuthorityList(Answer):
    """A page of authorities."""

    certificate_authorities: list[CertificateAuthorityAnswer]
    uri: str
    next_page_uri: str | None


class CertificateAuthorityCreate(Given):
    """A new authority."""

    ca_pem: str | None = Field(None, description="Exactly one certificate, PEM, of an authority.")
    description: Description = None
    metadata: Metadata = None


class CertificateAuthorityUpdate(Given):
    """What to change of an authority."""

    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=CertificateAuthorityAnswer)
async def create(who: Who, context: Ctx, given: CertificateAuthorityCreate) -> CertificateAuthorityAnswer:
    """Upload the certificate of an authority."""
    made = await certificate_authorities.create(
        context,
        who.account_id,
        given.ca_pem or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=CertificateAuthorityAnswer)
async def update(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: CertificateAuthorityUpdate,
) -> CertificateAuthorityAnswer:
    """Change the texts of an authority."""
    changed = await certificate_authorities.update(
        context, who.account_id, id, description=given.description, metadata=given.metadata
    )
    return _shown(context, changed)


def _shown(context: Context, each: CertificateAuthority) -> CertificateAuthorityAnswer:
    return CertificateAuthorityAnswer.model_validate(shown.certificate_authority(context.settings, each))


_common = Common(router, "ca", CertificateAuthorityAnswer, _shown)
_common.list(
    CertificateAuthorityList,
    "certificate_authorities",
    FIELDS,
    certificate_authorities.listed,
    "List the authorities of the account.",
)
_common.get(certificate_authorities.get, "Return one authority.")
_common.delete(certificate_authorities.delete, "Forget an authority.")
