"""Things that are online, as the data plane tells of them: made up for tests of the control plane."""

from typing import Any

from portway.control.service.context import Context
from portway.errors import Error
from portway.model.ids import new_id, sibling_id
from portway.model.live import LiveEndpoint, LiveNote, LiveSession

NOW = 1_800_000_000.0


def an_id(prefix: str, number: int) -> str:
    """Return the identifier of something made a number of seconds after the tests' clock began."""
    return new_id(prefix, lambda size: number.to_bytes(size, "big"), NOW + number)


def live_session(account_id: str, number: int = 1, **changes: Any) -> LiveSession:
    """Make a session of an account."""
    said: dict[str, Any] = {
        "id": an_id("ts", number),
        "account_id": account_id,
        "credential_id": "cr_1",
        "agent_version": "3.1.4",
        "ip": "203.0.113.9",
        "metadata": "m",
        "os": "linux",
        "region": "local",
        "started_at": NOW,
    }
    return LiveSession(**(said | changes))


def live_endpoint(account_id: str, number: int = 1, **changes: Any) -> LiveEndpoint:
    """Make an endpoint of an account's agent."""
    said: dict[str, Any] = {
        "id": an_id("ep", number),
        "account_id": account_id,
        "session_id": an_id("ts", 1),
        "url": f"https://{number}.portway.example:7443",
        "name": "web",
        "description": "d",
        "metadata": "m",
        "region": "local",
        "forwards_to": "http://localhost:8080",
        "upstream_protocol": "http1",
        "created_at": NOW,
        "updated_at": NOW + 1,
    }
    return LiveEndpoint(**(said | changes))


def tell(context: Context, *things: LiveSession | LiveEndpoint, **note: Any) -> None:
    """Tell the directory of a context that these are online."""
    sessions = tuple(each for each in things if isinstance(each, LiveSession))
    endpoints = tuple(each for each in things if isinstance(each, LiveEndpoint))
    context.live.apply(LiveNote(sessions=sessions, endpoints=endpoints, **note))


def tunnel_of(endpoint: LiveEndpoint) -> str:
    """Return the identifier of an endpoint's tunnel."""
    return sibling_id("tn", endpoint.id)


class FakeAgents:
    """Agents that do what they are told, or refuse it with a code."""

    def __init__(self, code: int = 0) -> None:
        """Refuse with this code, 0: obey."""
        self.code = code
        self.told: list[tuple[str, str, str]] = []

    async def command(self, session_id: str, what: str, version: str = "") -> None:
        """Remember, and obey or refuse."""
        self.told.append((session_id, what, version))
        if self.code:
            raise Error("The agent refuses.", self.code)
