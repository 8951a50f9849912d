"""/ip_restrictions: from where an account's dashboard, API, agents and endpoints may be used."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp
from portway.control.service import ip_restrictions, shown
from portway.control.service.context import Context
from portway.model.ip import IpRestriction

router = APIRouter(prefix="/ip_restrictions", tags=["ip_restrictions"])

FIELDS: Final = frozenset[str]()

Id = Annotated[str, Depends(path_id("ipx"))]


class IpRestrictionAnswer(Answer):
    """A restriction by address."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    enforced: bool
    type: str
    ip_policies: list[Ref]


class IpRestrictionList(Answer):
    """A page of restrictions."""

    ip_restrictions: list[IpRestrictionAnswer]
    uri: str
    next_page_uri: str | None


class IpRestrictionCreate(Given):
    """A new restriction."""

    description: Description = None
    metadata: Metadata = None
    enforced: bool | None = Field(None, description="Refuse others; else they are only warned of.")
    type: str | None = Field(
        None,
        description="dashboard, api, agent or endpoints; one restriction each. This service has no dashboard"
        " yet: a restriction of that type is kept and refuses nobody.",
    )
    ip_policy_ids: list[str] | None = Field(None, description="The IP policies that say who may.")


class IpRestrictionUpdate(Given):
    """What to change of a restriction."""

    description: Description = None
    metadata: Metadata = None
    enforced: bool | None = Field(None, description="Refuse others; else they are only warned of.")
    ip_policy_ids: list[str] | None = Field(
        None, description="The IP policies that say who may; an empty list leaves them as they are."
    )


@router.post("", name="create", status_code=201, response_model=IpRestrictionAnswer)
async def create(who: Who, context: Ctx, given: IpRestrictionCreate) -> IpRestrictionAnswer:
    """Restrict something of the account. It counts at once, for new connections."""
    made = await ip_restrictions.create(
        context,
        who.account_id,
        given.type or "",
        given.ip_policy_ids or (),
        enforced=given.enforced or False,
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=IpRestrictionAnswer)
async def update(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: IpRestrictionUpdate,
) -> IpRestrictionAnswer:
    """Change a restriction. It counts at once, for new connections."""
    changed = await ip_restrictions.update(
        context,
        who.account_id,
        id,
        policy_ids=given.ip_policy_ids or (),
        enforced=given.enforced,
        description=given.description,
        metadata=given.metadata,
    )
    return _shown(context, changed)


def _shown(context: Context, each: IpRestriction) -> IpRestrictionAnswer:
    return IpRestrictionAnswer.model_validate(shown.ip_restriction(context.settings, each))


_common = Common(router, "ipx", IpRestrictionAnswer, _shown)
_common.list(
    IpRestrictionList,
    "ip_restrictions",
    FIELDS,
    ip_restrictions.listed,
    "List the restrictions of the account.",
)
_common.get(ip_restrictions.get, "Return one restriction.")
_common.delete(ip_restrictions.delete, "Lift a restriction.")
