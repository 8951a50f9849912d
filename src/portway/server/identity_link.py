"""The data plane's way to sessions of visitors: each question is one request to the controller."""

from typing import TYPE_CHECKING

import msgspec

from portway.model.identity import SessionOpening, SessionRefresh, VisitorSession

if TYPE_CHECKING:
    from portway.server.link import ControllerLink


class Found(msgspec.Struct):
    """A session, if there is one."""

    session: VisitorSession | None = None


class Use(msgspec.Struct):
    """When a session was used last."""

    session_id: str
    at: float


class IdentityLink:
    """The edge's ``IdentityStore`` (``edge/identity_sessions.py``)."""

    def __init__(self, link: "ControllerLink") -> None:
        """Ask over this link."""
        self._link = link

    def __repr__(self) -> str:
        """Show the link."""
        return f"<IdentityLink {self._link!r}>"

    async def find_session(self, token_hash: str) -> VisitorSession | None:
        """Return the session of a cookie. Raises Error."""
        return (await self._link.ask("find_session", {"name": token_hash}, Found)).session

    async def open_session(self, opening: SessionOpening) -> VisitorSession:
        """Make a session. Raises Error."""
        return await self._link.ask("open_session", msgspec.structs.asdict(opening), VisitorSession)

    async def refresh_session(self, refresh: SessionRefresh) -> VisitorSession | None:
        """Write down what was learnt anew. Raises Error."""
        return (await self._link.ask("refresh_session", msgspec.structs.asdict(refresh), Found)).session

    async def use_session(self, session_id: str, at: float) -> None:
        """Write down when a session was used last. Raises Error."""
        await self._link.ask("use_session", {"session_id": session_id, "at": at}, type(None))

    async def close_session(self, session_id: str) -> None:
        """Delete a session. Raises Error."""
        await self._link.ask("close_session", {"id": session_id}, type(None))
