"""/ip_policies: sets of rules about addresses."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import ip_policies, shown
from portway.control.service.context import Context
from portway.errors import Error
from portway.model.ip import IpPolicy

router = APIRouter(prefix="/ip_policies", tags=["ip_policies"])

FIELDS: Final = frozenset[str]()

Id = Annotated[str, Depends(path_id("ipp"))]


class IpPolicyAnswer(Answer):
    """A set of rules."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str


class IpPolicyList(Answer):
    """A page of IP policies."""

    ip_policies: list[IpPolicyAnswer]
    uri: str
    next_page_uri: str | None


class _Texts(Given):
    description: Description = None
    metadata: Metadata = None
    action: str | None = Field(None, description="No longer: each rule has its own.")


class IpPolicyCreate(_Texts):
    """A new IP policy."""


class IpPolicyUpdate(_Texts):
    """What to change of an IP policy."""


@router.post("", name="create", status_code=201, response_model=IpPolicyAnswer)
async def create(who: Who, context: Ctx, given: IpPolicyCreate) -> IpPolicyAnswer:
    """Make an IP policy, which has no rules yet and so lets nobody in."""
    _check(given)
    made = await ip_policies.create(
        context, who.account_id, description=given.description or "", metadata=given.metadata or ""
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=IpPolicyAnswer)
async def update(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: IpPolicyUpdate,
) -> IpPolicyAnswer:
    """Change the texts of an IP policy."""
    _check(given)
    changed = await ip_policies.update(
        context, who.account_id, id, description=given.description, metadata=given.metadata
    )
    return _shown(context, changed)


def _check(given: _Texts) -> None:
    if given.action:
        raise Error("An IP policy has no action; each of its rules has one.", 1423)


def _shown(context: Context, each: IpPolicy) -> IpPolicyAnswer:
    return IpPolicyAnswer.model_validate(shown.ip_policy(context.settings, each))


_common = Common(router, "ipp", IpPolicyAnswer, _shown)
_common.list(IpPolicyList, "ip_policies", FIELDS, ip_policies.listed, "List the IP policies of the account.")
_common.get(ip_policies.get, "Return one IP policy.")
_common.delete(ip_policies.delete, "Delete an IP policy that nothing refers to, and its rules.")
