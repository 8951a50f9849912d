"""What every event of one session says: whose it is, from where it came, by which door and when.

Agents' sessions and those of SSH clients have one each; what is told besides is their own.
"""

from typing import TYPE_CHECKING, TypedDict

from portway.errors import Error, RefusedSession

if TYPE_CHECKING:
    from portway.edge.ports import EdgeConfig
    from portway.model.entities import Grant


class SessionFacts(TypedDict):
    """The fields that ``AgentSessionStarted`` and ``AgentSessionStopped`` have in common."""

    session_id: str
    account_id: str
    credential_id: str
    agent_ip: str
    ingress_server_ip: str
    ingress_hostname: str
    region: str
    started_at: float


class SessionRecord:
    """One session's record: filled in as it comes to be known."""

    def __init__(self, config: "EdgeConfig") -> None:
        """Know nothing but the service's own settings."""
        self._config = config
        self.session_id = ""
        """Its identifier; "" until it is admitted."""
        self.address = ""
        """The IP address from which it came."""
        self.server = ""
        """The IP address of ours to which it came."""
        self.started_at = 0.0
        """When it asked to come in, in Unix seconds."""

    def __repr__(self) -> str:
        """Show whose record it is."""
        return f"<SessionRecord {self.session_id or 'stranger'} from {self.address}>"

    def facts(self, whose: "Grant | Error | None") -> SessionFacts:
        """Return the fields; ``whose`` is what it was granted, or the error by which it was refused."""
        known = None if isinstance(whose, Error) and not isinstance(whose, RefusedSession) else whose
        return SessionFacts(
            session_id=self.session_id,
            account_id=known.account_id if known is not None else "",
            credential_id=known.credential_id if known is not None else "",
            agent_ip=self.address,
            ingress_server_ip=self.server,
            ingress_hostname=self._config.ingress_hostname,
            region=self._config.region,
            started_at=self.started_at,
        )
