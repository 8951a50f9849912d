"""/app/sessions: the sessions of people who have signed in at endpoints of the account."""

from fastapi import APIRouter

from portway.control.api.common import Common
from portway.control.api.schema import Answer, Ref, Timestamp, timestamp
from portway.control.service import identities
from portway.control.service.context import Context
from portway.control.service.identities import UserSession
from portway.policy.user_agent import read_user_agent

router = APIRouter(prefix="/app/sessions", tags=["application_sessions"])


class UserAgentAnswer(Answer):
    """What a browser says of itself."""

    raw: str
    browser_name: str
    browser_version: str
    device_type: str
    os_name: str
    os_version: str


class LocationAnswer(Answer):
    """Where an address is, as far as a database says."""

    country_code: str | None
    latitude: float | None
    longitude: float | None
    lat_long_radius_km: int | None


class BrowserSessionAnswer(Answer):
    """From where somebody signed in."""

    user_agent: UserAgentAnswer
    ip_address: str
    location: LocationAnswer | None


class ApplicationSessionAnswer(Answer):
    """A session. ``edge`` and ``route`` are null: sessions belong to endpoints."""

    id: str
    uri: str
    public_url: str
    browser_session: BrowserSessionAnswer
    application_user: Ref
    created_at: Timestamp
    last_active: Timestamp
    expires_at: Timestamp
    endpoint: Ref | None
    edge: Ref | None
    route: Ref | None


class ApplicationSessionList(Answer):
    """A page of sessions."""

    application_sessions: list[ApplicationSessionAnswer]
    uri: str
    next_page_uri: str | None


def _shown(context: Context, each: UserSession) -> ApplicationSessionAnswer:
    api_url = context.settings.api_url
    endpoint = Ref(id=each.endpoint_id, uri=f"{api_url}/endpoints/{each.endpoint_id}")
    return ApplicationSessionAnswer(
        id=each.id,
        uri=f"{api_url}/app/sessions/{each.id}",
        public_url=each.public_url,
        browser_session=BrowserSessionAnswer(
            user_agent=_agent(each.user_agent), ip_address=each.ip, location=_location(each)
        ),
        application_user=Ref(id=each.user_id, uri=f"{api_url}/app/users/{each.user_id}"),
        created_at=timestamp(each.created_at),
        last_active=timestamp(each.last_active),
        expires_at=timestamp(each.expires_at),
        endpoint=endpoint if each.endpoint_id else None,
        edge=None,
        route=None,
    )


def _agent(raw: str) -> UserAgentAnswer:
    known = read_user_agent(raw)
    kinds = (
        ("mobile", known.is_mobile),
        ("tablet", known.is_tablet),
        ("bot", known.is_bot),
        ("desktop", known.is_desktop),
    )
    return UserAgentAnswer(
        raw=raw,
        browser_name=known.name,
        browser_version=known.version,
        device_type=next((name for name, is_it in kinds if is_it), ""),
        os_name=known.os,
        os_version=known.os_version,
    )


def _location(each: UserSession) -> LocationAnswer | None:
    if not each.country:
        return None
    return LocationAnswer(
        country_code=each.country,
        latitude=each.latitude,
        longitude=each.longitude,
        lat_long_radius_km=each.radius,
    )


_common = Common(router, "appsess", ApplicationSessionAnswer, _shown)
_common.list(
    ApplicationSessionList,
    "application_sessions",
    None,
    identities.sessions,
    "List the sessions that stand at endpoints of the account.",
)
_common.get(identities.session, "Return one session.")
_common.delete(identities.delete_session, "End a session at once.")
