"""/api_keys: what opens this API. The first one is made by the service's first start."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import Field

from portway.control.api.auth import Ctx, Who
from portway.control.api.common import Common
from portway.control.api.paging import path_id
from portway.control.api.schema import Answer, Description, Given, Metadata, Timestamp
from portway.control.service import api_keys
from portway.control.service import shown as nouns
from portway.control.service.context import Context
from portway.control.service.keys import Texts, check_owner
from portway.model.entities import ApiKey

router = APIRouter(prefix="/api_keys", tags=["api_keys"])

FIELDS: Final = frozenset({"owner_id"})

Id = Annotated[str, Depends(path_id("ak"))]


class ApiKeyAnswer(Answer):
    """An API key. ``token`` is shown in the answer to its creation, and never again."""

    id: str
    uri: str
    description: str
    metadata: str
    created_at: Timestamp
    token: str | None
    owner_id: str | None


class ApiKeyList(Answer):
    """A page of API keys."""

    keys: list[ApiKeyAnswer]
    uri: str
    next_page_uri: str | None


class ApiKeyCreate(Given):
    """A new API key."""

    description: Description = None
    metadata: Metadata = None
    owner_id: str | None = Field(None, description="The user that it shall belong to.")


class ApiKeyUpdate(Given):
    """What to change of an API key."""

    description: Description = None
    metadata: Metadata = None


@router.post("", name="create", status_code=201, response_model=ApiKeyAnswer)
async def create(who: Who, context: Ctx, given: ApiKeyCreate) -> ApiKeyAnswer:
    """Make an API key; only this answer shows its token."""
    owner_id = check_owner(given.owner_id or "", who.owner_id)
    texts = Texts(given.description, given.metadata)
    made = await api_keys.create(context, who.account_id, texts, owner_id)
    return shown(context, made.value, made.token)


@router.patch("/{id}", name="update", response_model=ApiKeyAnswer)
async def update(who: Who, context: Ctx, id: Id, given: ApiKeyUpdate) -> ApiKeyAnswer:  # noqa: A002
    """Change the texts of an API key."""
    texts = Texts(given.description, given.metadata)
    return shown(context, await api_keys.update(context, who.account_id, id, texts))


def shown(context: Context, each: ApiKey, token: str | None = None) -> ApiKeyAnswer:
    """Make the answer that shows a key."""
    return ApiKeyAnswer.model_validate(nouns.api_key(context.settings, each) | {"token": token})


_common = Common(router, "ak", ApiKeyAnswer, shown)
_common.list(ApiKeyList, "keys", FIELDS, api_keys.page, "List the API keys of the account.")
_common.get(api_keys.get, "Return one API key.")
_common.delete(api_keys.delete, "End an API key, at once; it may be the caller's own.")
