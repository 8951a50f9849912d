"""What the controller answers of visitors' sessions: the other end of ``identity_link.py``."""

from collections.abc import Awaitable, Callable

import msgspec

from portway.control.service import identities
from portway.control.service.context import Context
from portway.model.identity import SessionOpening, SessionRefresh
from portway.server.channel import arguments
from portway.server.identity_link import Found, Use


class Cookie(msgspec.Struct):
    """The hash of a cookie."""

    name: str


class Subject(msgspec.Struct):
    """A session."""

    id: str


class IdentityRequests:
    """Carries requests of the data plane out. Each raises Error."""

    def __init__(self, context: Context) -> None:
        """Work on this store."""
        self._context = context

    def table(self) -> dict[str, Callable[[msgspec.Raw], Awaitable[object]]]:
        """Return the requests by their names."""
        return {
            "find_session": self._find,
            "open_session": self._open,
            "refresh_session": self._refresh,
            "use_session": self._use,
            "close_session": self._close,
        }

    async def _find(self, args: msgspec.Raw) -> object:
        return Found(await identities.find_session(self._context, arguments(args, Cookie).name))

    async def _open(self, args: msgspec.Raw) -> object:
        return await identities.open_session(self._context, arguments(args, SessionOpening))

    async def _refresh(self, args: msgspec.Raw) -> object:
        return Found(await identities.refresh_session(self._context, arguments(args, SessionRefresh)))

    async def _use(self, args: msgspec.Raw) -> object:
        use = arguments(args, Use)
        await identities.use_session(self._context, use.session_id, use.at)
        return None

    async def _close(self, args: msgspec.Raw) -> object:
        await identities.close_session(self._context, arguments(args, Subject).id)
        return None
