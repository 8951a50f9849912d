"""/app/users: who has signed in at endpoints of the account."""

from fastapi import APIRouter

from portway.control.api.common import Common
from portway.control.api.schema import Answer, Timestamp, timestamp
from portway.control.service import identities
from portway.control.service.context import Context
from portway.control.service.identities import User

router = APIRouter(prefix="/app/users", tags=["application_users"])


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


_common = Common(router, "appusr", ApplicationUserAnswer, _shown)
_common.list(
    ApplicationUserList,
    "application_users",
    None,
    identities.users,
    "List the people who have signed in at endpoints of the account.",
)
_common.get(identities.user, "Return one person.")
_common.delete(identities.delete_user, "Forget a person; all their sessions end at once.")
