"""Sessions at hand: those that visitors have used lately, so that the store is not asked for each request.

What is kept here is never the truth for long: a session that is deleted is forgotten as soon as the change
arrives, and after a minute each is asked for again, whatever arrived. Cookies that no session has are
remembered as such for a while, in a place of their own, so that they push nobody else out. While the control
plane cannot be asked, what is at hand goes on to hold for five minutes; then nobody is let in who cannot be
known.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from portway.edge.identity_pages import LoginFailed
from portway.edge.once import Once
from portway.errors import Error, PortwayError
from portway.model.identity import SessionOpening, SessionRefresh, VisitorSession

if TYPE_CHECKING:
    from portway.net.tasks import Tasks

KEPT: Final = 20_000
"""Sessions at hand. A session is a few KiB with its tokens."""
UNKNOWN_KEPT: Final = 4096
"""Cookies that are known to have no session."""
AGAIN: Final = 60.0
"""Seconds after which a session is asked for again, and after which its use is written down."""
UNKNOWN_AGAIN: Final = 10.0
"""The same of a cookie without a session."""
AWAY: Final = 300.0
"""Seconds that a session at hand holds while the control plane cannot be asked."""


class IdentityStore(Protocol):
    """The control plane, for sessions. Each raises Error; 128 when it cannot answer now."""

    async def find_session(self, token_hash: str) -> VisitorSession | None:
        """Return the session of a cookie."""
        ...

    async def open_session(self, opening: SessionOpening) -> VisitorSession:
        """Make a session, and the person if it is not known yet."""
        ...

    async def refresh_session(self, refresh: SessionRefresh) -> VisitorSession | None:
        """Write down what was learnt anew; None: the session is gone."""
        ...

    async def use_session(self, session_id: str, at: float) -> None:
        """Write down when a session was used last."""
        ...

    async def close_session(self, session_id: str) -> None:
        """Delete a session."""
        ...


@dataclass(slots=True)
class _Kept:
    session: VisitorSession
    asked: float
    """Monotonic seconds at which it was asked for."""
    used: float = 0.0
    """Unix seconds of its last use here."""
    written: float = 0.0
    """Unix seconds of the last use that is written down."""


class Sessions:
    """The sessions of visitors of this edge."""

    def __init__(
        self,
        store: IdentityStore,
        tasks: "Tasks",
        now: Callable[[], float],
        wall: Callable[[], float],
        *,
        kept: int = KEPT,
    ) -> None:
        """Ask ``store``; write uses down in tasks of ``tasks``."""
        self._store = store
        self._tasks = tasks
        self._now = now
        self._wall = wall
        self._most = kept
        self._known: OrderedDict[str, _Kept] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._by_id: dict[str, str] = {}
        self._once = Once()
        self._gone: set[str] = set()
        """Sessions that ended while some are being asked for."""

    def __repr__(self) -> str:
        """Show how many are at hand."""
        return f"<Sessions known={len(self._known)} unknown={len(self._unknown)} asked={len(self._once)}>"

    async def find(self, token_hash: str) -> VisitorSession | None:
        """Return the session of a cookie, with its last use as far as it is known here.

        Raises LoginFailed 3150 when it cannot be read now.
        """
        now = self._now()
        since = self._unknown.get(token_hash)
        if since is not None and now < since + UNKNOWN_AGAIN:
            return None
        kept = self._known.get(token_hash)
        if kept is None or now >= kept.asked + AGAIN:
            try:
                await self._ask(token_hash)
            except Error as error:
                if kept is None or now >= kept.asked + AGAIN + AWAY:
                    raise LoginFailed(3150, error.message) from error
            kept = self._known.get(token_hash)
            if kept is None:
                return None
        self._known.move_to_end(token_hash)
        return _with_use(kept)

    def used(self, session: VisitorSession) -> None:
        """Note that a session let its visitor in just now."""
        kept = self._known.get(self._by_id.get(session.id, ""))
        if kept is None:
            return
        at = kept.used = self._wall()
        if at >= kept.written + AGAIN:
            kept.written = at
            self._tasks.start(self._write(session.id, at), name="use of a session")

    async def open(self, opening: SessionOpening) -> VisitorSession:
        """Make a session. Raises LoginFailed 3163."""
        try:
            session = await self._store.open_session(opening)
        except Error as error:
            raise LoginFailed(3163, error.message) from error
        self._keep(opening.token_hash, session)
        return session

    async def put(self, refresh: SessionRefresh) -> VisitorSession | None:
        """Write down what was learnt anew; None: the session has ended. Raises LoginFailed 3150."""
        try:
            session = await self._store.refresh_session(refresh)
        except Error as error:
            raise LoginFailed(3150, error.message) from error
        token_hash = self._by_id.get(refresh.session_id)
        if session is None:
            self.forget(refresh.session_id)
        elif token_hash is not None:
            self._keep(token_hash, session)
        return session

    async def close(self, session: VisitorSession) -> None:
        """End a session here and in the store. Raises LoginFailed 3150: it is ended here alone."""
        self.forget(session.id)
        try:
            await self._store.close_session(session.id)
        except Error as error:
            raise LoginFailed(3150, error.message) from error

    def forget(self, session_id: str) -> None:
        """A session has ended: whoever asks for it is told so from now on."""
        token_hash = self._by_id.pop(session_id, None)
        if token_hash is not None:
            self._known.pop(token_hash, None)
        if len(self._once):
            self._gone.add(session_id)

    # -- inside

    async def _ask(self, token_hash: str) -> None:
        """Ask the store, once for all who want the same cookie."""
        try:
            await self._once.ask(token_hash, lambda: self._read(token_hash))
        finally:
            if not len(self._once):
                self._gone.clear()

    async def _read(self, token_hash: str) -> None:
        session = await self._store.find_session(token_hash)
        if session is not None and session.id in self._gone:
            session = None  # a note came between the answer and us
        self._keep(token_hash, session)

    def _keep(self, token_hash: str, session: VisitorSession | None) -> None:
        before = self._known.pop(token_hash, None)
        if session is None:
            if before is not None:
                self._by_id.pop(before.session.id, None)
            self._unknown[token_hash] = self._now()
            self._unknown.move_to_end(token_hash)
            if len(self._unknown) > UNKNOWN_KEPT:
                self._unknown.popitem(last=False)
            return
        self._unknown.pop(token_hash, None)
        used = before.used if before is not None else 0.0
        self._known[token_hash] = _Kept(session, self._now(), used, session.last_active)
        self._by_id[session.id] = token_hash
        if len(self._known) > self._most:
            _, oldest = self._known.popitem(last=False)
            self._by_id.pop(oldest.session.id, None)

    async def _write(self, session_id: str, at: float) -> None:
        try:
            await self._store.use_session(session_id, at)
        except PortwayError:
            return  # the next use writes it


def _with_use(kept: _Kept) -> VisitorSession:
    session = kept.session
    if kept.used > session.last_active:
        return replace(session, last_active=kept.used)
    return session
