"""/reserved_addrs: TCP addresses that stay the account's."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import reserved_addrs, shown
from portway.control.service.context import Context
from portway.model.address import ReservedAddr

router = APIRouter(prefix="/reserved_addrs", tags=["reserved_addrs"])

FIELDS: Final = frozenset({"addr", "region"})

Id = Annotated[str, Depends(path_id("ra"))]


class ReservedAddrAnswer(Answer):
    """A TCP address: ``addr`` is its host and port."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    addr: str
    region: str
    endpoint_configuration: None


class ReservedAddrList(Answer):
    """A page of TCP addresses."""

    reserved_addrs: list[ReservedAddrAnswer]
    uri: str
    next_page_uri: str | None


class ReservedAddrCreate(Given):
    """A new TCP address. Its host and port are the service's choice."""

    description: Description = None
    metadata: Metadata = None
    region: str | None = Field(None, description="Where its visitors come in; a region of this service.")


class ReservedAddrUpdate(Given):
    """What to change of a TCP address."""

    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=ReservedAddrAnswer)
async def create(who: Who, context: Ctx, given: ReservedAddrCreate) -> ReservedAddrAnswer:
    """Reserve a TCP address, drawn at random."""
    made = await reserved_addrs.create(
        context,
        who.account_id,
        region=given.region or "",
        description=given.description or "",
        metadata=given.metadata or "",
    )
    return _shown(context, made)


@router.patch("/{id}", name="update", response_model=ReservedAddrAnswer)
async def update(who: Who, context: Ctx, id: Id, given: ReservedAddrUpdate) -> ReservedAddrAnswer:  # noqa: A002
    """Change the texts of a TCP address."""
    changed = await reserved_addrs.update(
        context, who.account_id, id, description=given.description, metadata=given.metadata
    )
    return _shown(context, changed)


def _shown(context: Context, each: ReservedAddr) -> ReservedAddrAnswer:
    return ReservedAddrAnswer.model_validate(shown.reserved_addr(context.settings, each))


_common = Common(router, "ra", ReservedAddrAnswer, _shown)
_common.list(
    ReservedAddrList,
    "reserved_addrs",
    FIELDS,
    reserved_addrs.listed,
    "List the TCP addresses of the account.",
)
_common.get(reserved_addrs.get, "Return one TCP address.")
_common.delete(reserved_addrs.delete, "Give a TCP address back, for good.")
