"""/ and /self: what there is, and who the caller is. A quick test of a key."""

from fastapi import APIRouter, Request

from portway.control.api.auth import Ctx, Who
from portway.control.api.routes.api_keys import ApiKeyAnswer, shown
from portway.control.api.schema import Answer, Timestamp, timestamp
from portway.control.service import accounts, api_keys
from portway.model.agent_version import OWN, least

router = APIRouter()


class Root(Answer):
    """Where the resources are, by name."""

    uri: str
    subresource_uris: dict[str, str]


class AccountAnswer(Answer):
    """The caller's account."""

    id: str
    name: str
    created_at: Timestamp
    suspended: bool
    enforce_sso: bool
    min_api_version: str
    min_agent_version: str
    user_mfa_required: bool
    traffic_full_capture: bool


class Self(Answer):
    """Who calls. ``user`` is the name of the key's user, or of the account when it has none."""

    account: AccountAnswer
    api_key: ApiKeyAnswer
    user: str


@router.get("/", name="root", response_model=Root)
async def root(request: Request, context: Ctx, _who: Who) -> Root:
    """List the resources."""
    base = context.settings.api_url
    nouns: tuple[str, ...] = request.app.state.nouns
    return Root(uri=f"{base}/", subresource_uris={noun: f"{base}/{noun}" for noun in nouns})


@router.get("/self", name="self", response_model=Self)
async def self_(context: Ctx, who: Who) -> Self:
    """Tell whose key this is."""
    account = await accounts.get(context, who.account_id)
    key = await api_keys.get(context, who.account_id, who.key_id)
    return Self(
        account=AccountAnswer(
            id=account.id,
            name=account.name,
            created_at=timestamp(account.created_at),
            suspended=False,
            enforce_sso=False,
            min_api_version="2",
            min_agent_version=least(context.settings.min_agent_version, OWN, context.now()),
            user_mfa_required=False,
            traffic_full_capture=False,
        ),
        api_key=shown(context, key),
        user=key.owner_id or account.name,
    )
