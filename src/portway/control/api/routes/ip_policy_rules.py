"""/ip_policy_rules: networks that IP policies allow or deny."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Ref, Timestamp
from portway.control.service import ip_policy_rules, shown
from portway.control.service.context import Context
from portway.model.ip import IpPolicyRule

router = APIRouter(prefix="/ip_policy_rules", tags=["ip_policy_rules"])

FIELDS: Final = frozenset({"ip_policy", "ip_policy.id", "cidr", "action"})

Id = Annotated[str, Depends(path_id("ipr"))]


class IpPolicyRuleAnswer(Answer):
    """A network that an IP policy allows or denies."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    cidr: str
    ip_policy: Ref
    action: str


class IpPolicyRuleList(Answer):
    """A page of rules."""

    ip_policy_rules: list[IpPolicyRuleAnswer]
    uri: str
    next_page_uri: str | None


class IpPolicyRuleCreate(Given):
    """A new rule."""

    description: Description = None
    metadata: Metadata = None
    cidr: str | None = Field(None, description="A network by its lowest address, such as 192.0.2.0/24.")
    ip_policy_id: str | None = Field(None, description="The IP policy that it belongs to.")
    action: str | None = Field(None, description="allow or deny.")


class IpPolicyRuleUpdate(Given):
    """What to change of a rule."""

    description: Description = None
    metadata: Metadata = None
    cidr: str | None = Field(None, description="A network by its lowest address, such as 192.0.2.0/24.")


@router.post("", name="create", status_code=201, response_model=IpPolicyRuleAnswer)
async def create(who: Who, context: Ctx, given: IpPolicyRuleCreate) -> IpPolicyRuleAnswer:
    """Add a rule to an IP policy. It counts at once wherever the policy is used."""
    made = await ip_policy_rules.create(
        context,
        who.account_id,
        given.ip_policy_id or "",
        given.cidr or "",
        given.action or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=IpPolicyRuleAnswer)
async def update(
    who: Who,
    context: Ctx,
    id: Id,  # noqa: A002
    given: IpPolicyRuleUpdate,
) -> IpPolicyRuleAnswer:
    """Change the network or the texts of a rule. It counts at once wherever the policy is used."""
    changed = await ip_policy_rules.update(
        context,
        who.account_id,
        id,
        cidr=given.cidr,
        description=given.description,
        metadata=given.metadata,
    )
    return _shown(context, changed)


def _facts(context: Context, each: IpPolicyRule, filter: str) -> dict[str, Any]:  # noqa: A002
    """Return what a filter sees: the policy is compared as an identifier, or has one."""
    facts = shown.ip_policy_rule(context.settings, each)
    return facts if "ip_policy.id" in filter else facts | {"ip_policy": each.ip_policy_id}


def _shown(context: Context, each: IpPolicyRule) -> IpPolicyRuleAnswer:
    return IpPolicyRuleAnswer.model_validate(shown.ip_policy_rule(context.settings, each))


_common = Common(router, "ipr", IpPolicyRuleAnswer, _shown)
_common.list(
    IpPolicyRuleList,
    "ip_policy_rules",
    FIELDS,
    ip_policy_rules.listed,
    "List the rules of all IP policies of the account.",
    facts=_facts,
)
_common.get(ip_policy_rules.get, "Return one rule.")
_common.delete(ip_policy_rules.delete, "Delete a rule.")
