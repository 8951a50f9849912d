"""/app/users: who has signed in at endpoints of the account."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from portway.control.api.auth import Ctx, Who
from portway.control.api.paging import Listing, listing, path_id
from portway.control.api.schema import Answer, Timestamp, timestamp
from portway.control.service import identities
from portway.control.service.context import Context
from portway.control.service.identities import User

router = APIRouter(prefix="/app/users", tags=["application_users"])

Id = Annotated[str, Depends(path_id("appusr"))]
Wanted = Annotated[Listing, Depends(listing("application_users", "appusr", None))]


class IdentityProviderAnswer(Answer):
    """Who says who somebody is."""

    name: str
    url: str


class ApplicationUserAnswer(Answer):
    """A person that has signed in through an action of a traffic policy."""

    id: str
    uri: str
    identity_provider: IdentityProviderAnswer
    provider_user_id: str
    username: str
    email: str
    name: str
    created_at: Timestamp
    last_active: Timestamp
    last_login: Timestamp


class ApplicationUserList(Answer):
    """A page of people."""

    application_users: list[ApplicationUserAnswer]
    uri: str
    next_page_uri: str | None


@router.get("", name="list", response_model=ApplicationUserList)
async def listed(who: Who, context: Ctx, wanted: Wanted) -> dict[str, Any]:
    """List the people who have signed in at endpoints of the account."""
    return await wanted.page(
        lambda page: identities.users(context, who.account_id, page),
        lambda each: _shown(context, each),
    )


@router.get("/{id}", name="get", response_model=ApplicationUserAnswer)
async def get(who: Who, context: Ctx, id: Id) -> ApplicationUserAnswer:  # noqa: A002 - as in the path
    """Return one person."""
    return _shown(context, await identities.user(context, who.account_id, id))


@router.delete("/{id}", name="delete", status_code=204)
async def delete(who: Who, context: Ctx, id: Id) -> None:  # noqa: A002
    """Forget a person; all their sessions end at once."""
    await identities.delete_user(context, who.account_id, id)


def _shown(context: Context, each: User) -> ApplicationUserAnswer:
    return ApplicationUserAnswer(
        id=each.id,
        uri=f"{context.settings.api_url}/app/users/{each.id}",
        identity_provider=IdentityProviderAnswer(name=each.provider, url=each.provider_url),
        provider_user_id=each.subject,
        username=each.username,
        email=each.email,
        name=each.name,
        created_at=timestamp(each.created_at),
        last_active=timestamp(each.last_active),
        last_login=timestamp(each.last_login),
    )
