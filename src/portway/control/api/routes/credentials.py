"""/credentials: the authtokens with which agents connect."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import credentials, shown
from portway.control.service.context import Context
from portway.control.service.keys import Texts, check_owner
from portway.model.entities import Credential

router = APIRouter(prefix="/credentials", tags=["credentials"])

FIELDS: Final = frozenset({"owner_id", "acl"})

Id = Annotated[str, Depends(path_id("cr"))]

Rules = Annotated[
    list[str] | None,
    Field(description='What sessions may bind, such as "bind:*.example.com"; an empty list: anything.'),
]


class CredentialAnswer(Answer):
    """An authtoken. ``token`` is shown in the answer to its creation, and never again."""

    id: str
    uri: str
    created_at: Timestamp
    description: str
    metadata: str
    token: str | None
    acl: list[str]
    owner_id: str | None


class CredentialList(Answer):
    """A page of authtokens."""

    credentials: list[CredentialAnswer]
    uri: str
    next_page_uri: str | None


class CredentialCreate(Given):
    """A new authtoken."""

    description: Description = None
    metadata: Metadata = None
    acl: Rules = None
    owner_id: str | None = Field(None, description="The user that it shall belong to.")


class CredentialUpdate(Given):
    """What to change of an authtoken."""

    description: Description = None
    metadata: Metadata = None
    acl: Rules = None


@router.post("", name="create", status_code=201, response_model=CredentialAnswer)
async def create(who: Who, context: Ctx, given: CredentialCreate) -> CredentialAnswer:
    """Make an authtoken; only this answer shows its token."""
    owner_id = check_owner(given.owner_id or "", who.owner_id)
    made = await credentials.create(context, who.account_id, _texts(given), owner_id)
    return _shown(context, made.value, made.token)


@router.patch("/{id}", name="update", response_model=CredentialAnswer)
async def update(who: Who, context: Ctx, id: Id, given: CredentialUpdate) -> CredentialAnswer:  # noqa: A002
    """Change an authtoken; new rules hold for its live sessions too."""
    return _shown(context, await credentials.update(context, who.account_id, id, _texts(given)))


def _texts(given: CredentialCreate | CredentialUpdate) -> Texts:
    acl = None if given.acl is None else tuple(given.acl)
    return Texts(given.description, given.metadata, acl)


def _shown(context: Context, each: Credential, token: str | None = None) -> CredentialAnswer:
    return CredentialAnswer.model_validate(shown.credential(context.settings, each) | {"token": token})


_common = Common(router, "cr", CredentialAnswer, _shown)
_common.list(CredentialList, "credentials", FIELDS, credentials.page, "List the authtokens of the account.")
_common.get(credentials.get, "Return one authtoken.")
_common.delete(credentials.delete, "End an authtoken and the sessions that it opened.")
