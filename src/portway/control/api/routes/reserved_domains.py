"""/reserved_domains: names that stay the account's, with everything below them."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp
from portway.control.service import reserved_domains, shown
from portway.control.service.context import Context
from portway.control.service.reserved_domains import Wish, qualified
from portway.model.certificate_policy import CertificatePolicy, parse_policy
from portway.model.domain import ReservedDomain

router = APIRouter(prefix="/reserved_domains", tags=["reserved_domains"])

FIELDS: Final = frozenset({
    "domain", "region", "cname_target", "certificate.id", "acme_challenge_cname_target",
})  # fmt: skip

Id = Annotated[str, Depends(path_id("rd"))]


class PolicyAnswer(Answer):
    """Who issues certificates automatically, and for which kind of key."""

    authority: str
    private_key_type: str


class JobAnswer(Answer):
    """An attempt to get a certificate, which has not succeeded yet."""

    error_code: str
    msg: str
    started_at: Timestamp
    retries_at: Timestamp | None


class StatusAnswer(Answer):
    """How automatic certificates fare."""

    renews_at: Timestamp | None
    provisioning_job: JobAnswer | None


class Resolution(Answer):
    """A region in which visitors of a name are served; "global" is everywhere."""

    value: str


class ReservedDomainAnswer(Answer):
    """A reserved domain. A foreign name must have a CNAME record that points to ``cname_target``."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    domain: str
    region: str
    cname_target: str | None
    certificate: Ref | None
    certificate_management_policy: PolicyAnswer | None
    certificate_management_status: StatusAnswer | None
    acme_challenge_cname_target: str | None
    resolves_to: list[Resolution]
    is_dev: bool
    http_endpoint_configuration: None
    https_endpoint_configuration: None
    error_redirect_url: None


class ReservedDomainList(Answer):
    """A page of reserved domains."""

    reserved_domains: list[ReservedDomainAnswer]
    uri: str
    next_page_uri: str | None


class PolicyGiven(Given):
    """Who shall issue certificates automatically, and for which kind of key."""

    authority: str | None = Field(None, description="internal (the default) or letsencrypt.")
    private_key_type: str | None = Field(None, description="ecdsa (the default) or rsa.")


class ResolutionGiven(Given):
    """A region in which visitors shall be served."""

    value: str = Field(description='A region of this service, or "global".')


class ReservedDomainUpdate(Given):
    """What to change of a domain. Certificate and policy exclude each other; either ends the other."""

    description: Description = None
    metadata: Metadata = None
    certificate_id: str | None = Field(None, description="An uploaded TLS certificate to be served.")
    certificate_management_policy: PolicyGiven | None = None
    resolves_to: list[ResolutionGiven] | None = Field(
        None, description="Where visitors are served. An empty list changes nothing."
    )


class ReservedDomainCreate(ReservedDomainUpdate):
    """A new reserved domain."""

    domain: str | None = Field(None, description="A name below the service's domain or any other; or *.name.")
    name: str | None = Field(
        None, description="Older form of domain; a bare label is one below the service's."
    )
    region: str | None = Field(None, description="Without effect: names are served in every region.")


@router.post("", name="create", status_code=201, response_model=ReservedDomainAnswer)
async def create(who: Who, context: Ctx, given: ReservedDomainCreate) -> ReservedDomainAnswer:
    """Reserve a domain."""
    domain = qualified(given.domain or "", given.name or "", context.settings)
    wish = _wish(given, given.region or "")
    return _shown(context, await reserved_domains.create(context, who.account_id, domain, wish))


@router.patch("/{id}", name="update", response_model=ReservedDomainAnswer)
async def update(who: Who, context: Ctx, id: Id, given: ReservedDomainUpdate) -> ReservedDomainAnswer:  # noqa: A002
    """Change a reserved domain."""
    return _shown(context, await reserved_domains.update(context, who.account_id, id, _wish(given)))


@router.delete("/{id}/certificate", name="delete-certificate", status_code=204)
async def delete_certificate(who: Who, context: Ctx, id: Id) -> None:  # noqa: A002
    """Detach the uploaded certificate from a domain."""
    await reserved_domains.detach_certificate(context, who.account_id, id)


@router.delete(
    "/{id}/certificate_management_policy", name="delete-certificate-management-policy", status_code=204
)
async def delete_policy(who: Who, context: Ctx, id: Id) -> None:  # noqa: A002
    """End automatic certificates for a domain."""
    await reserved_domains.end_policy(context, who.account_id, id)


def _wish(given: ReservedDomainUpdate, region: str = "") -> Wish:
    return Wish(
        description=given.description,
        metadata=given.metadata,
        region=region,
        certificate_id=given.certificate_id or "",
        policy=_policy(given.certificate_management_policy),
        resolves_to=tuple(each.value for each in given.resolves_to or ()),
    )


def _policy(given: PolicyGiven | None) -> CertificatePolicy | None:
    return None if given is None else parse_policy(given.authority or "", given.private_key_type or "")


def _shown(context: Context, each: ReservedDomain) -> ReservedDomainAnswer:
    return ReservedDomainAnswer.model_validate(shown.reserved_domain(context.settings, each))


_common = Common(router, "rd", ReservedDomainAnswer, _shown)
_common.list(
    ReservedDomainList,
    "reserved_domains",
    FIELDS,
    reserved_domains.listed,
    "List the reserved domains of the account, its dev domain among them.",
)
_common.get(reserved_domains.get, "Return one reserved domain.")
_common.delete(reserved_domains.delete, "Give a domain back.")
