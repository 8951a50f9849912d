"""The session as an application sees it: who we are to the service, and how far away it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from portway.errors import Error
from portway.session.handshake import PORTWAY_SERVICE
from portway.wire.messages import AuthResp, Deprecation

if TYPE_CHECKING:
    from portway.agent.agent import Agent


@dataclass(slots=True, kw_only=True, eq=False)
class AgentSession:
    """One authenticated connection of an agent to the service.

    ``id`` is the service's name for it, ``started_at`` when it was authenticated (aware, UTC).
    ``warnings`` came with the authentication. ``region``, ``account_name``, ``plan_name`` and
    ``banner`` are texts of the service, "" where it says nothing. ``latency`` is the round trip of the
    last answered heartbeat in seconds, None before the first. After a reconnect the agent has a new
    object; this one stays as it was.
    """

    agent: "Agent"
    id: str
    started_at: datetime
    warnings: tuple[Error, ...]
    region: str
    account_name: str
    plan_name: str
    banner: str
    server_version: str
    latency: float | None = None

    @property
    def with_portway(self) -> bool:
        """Whether the service is a portway too, which speaks for its agents."""
        return self.server_version.startswith(PORTWAY_SERVICE)

    def __repr__(self) -> str:
        """Show the id and the latency."""
        latency = "-" if self.latency is None else f"{self.latency * 1000:.1f} ms"
        return f"<AgentSession {self.id} region={self.region!r} latency={latency}>"


def session_info(agent: "Agent", answer: AuthResp, started_at: datetime) -> AgentSession:
    """Make the session's public face from the service's answer."""
    extra = answer.extra
    deprecation = extra.deprecation_warning
    return AgentSession(
        agent=agent,
        id=extra.agent_session_id,
        started_at=started_at,
        warnings=() if deprecation is None else (Error(deprecation_text(deprecation)),),
        region=extra.region,
        account_name=extra.account_name,
        plan_name=extra.plan_name,
        banner=extra.banner,
        server_version=extra.version,
    )


def deprecation_text(warning: Deprecation) -> str:
    """Return the sentence that an agent shows when it is too old."""
    later = f" to {warning.next_min} or later" if warning.next_min else ""
    day = warning.next_date[:10]
    when = f" by {day}." if day and not day.startswith("0001") else " at your earliest convenience."
    return f"Your agent is deprecated. Please update{later}{when}"
