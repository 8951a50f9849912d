"""The pool of an endpoint: which member serves the next visitor.

``pick`` is a pure choice: it awaits nothing and touches no session. ``open`` turns the choice into a
stream and goes on to the next member when one bears no more. A member that said *busy* (RST 9) is
passed over for a moment as long as another one can serve.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from portway.errors import SessionClosed, StreamLimit

if TYPE_CHECKING:
    from portway.edge.member import Member, Visitor
    from portway.pipe import Pipe, Sink

T = TypeVar("T")

BUSY_FOR: Final = 1.0
"""Seconds for which a member that refused a stream is passed over."""


class Pool:
    """Members of one URL."""

    __slots__ = ("_busy", "_members", "_random", "http2")

    def __init__(self, random: Callable[[int], int]) -> None:
        """Make an empty pool; ``random(n)`` draws one of 0 … n-1."""
        self._members: list[Member] = []
        self._busy: dict[int, float] = {}
        self._random = random
        self.http2 = 0
        """How many members have an upstream that speaks HTTP/2."""

    def __len__(self) -> int:
        """Count the members."""
        return len(self._members)

    def __repr__(self) -> str:
        """Show members and how many are busy."""
        return f"<Pool {[member.id for member in self._members]} busy={len(self._busy)}>"

    @property
    def members(self) -> "tuple[Member, ...]":
        """The members, oldest first."""
        return tuple(self._members)

    def add(self, member: "Member") -> None:
        """Add a member."""
        self._members.append(member)
        self.http2 += member.forwards_proto == "http2"

    def remove(self, member: "Member") -> None:
        """Take a member out; unknown ones are ignored."""
        if member in self._members:
            self._members.remove(member)
            self.http2 -= member.forwards_proto == "http2"
        self._busy.pop(id(member), None)

    def busy(self, member: "Member", now: float) -> None:
        """Remember that a member bears no stream just now."""
        if member in self._members:
            self._busy[id(member)] = now + BUSY_FOR

    def pick(self, now: float, without: "tuple[Member, ...]" = ()) -> "Member | None":
        """Choose uniformly among the usable members, those not busy first; None if there is none.

        Members with one bind id are the legs of one agent; they share its chance.
        """
        if len(self._members) == 1 and not without and not self._busy:
            member = self._members[0]
            return member if member.usable else None
        able = [member for member in self._members if member.usable and member not in without]
        free = [member for member in able if self._busy.get(id(member), 0.0) <= now]
        choice = free or able
        if len(choice) < 2:
            return choice[0] if choice else None
        binds = list(dict.fromkeys(member.id for member in choice))
        if len(binds) < len(choice):  # legs of one agent: it has one share
            bind = binds[self._random(len(binds))]
            choice = [member for member in choice if member.id == bind]
        return choice[self._random(len(choice))]

    def open(
        self, visitor: "Visitor", sink: "Sink", now: float, without: "tuple[Member, ...]" = ()
    ) -> "tuple[Member, Pipe]":
        """Open a stream on some member; say on which.

        Members whose session is over are evicted. Raises StreamLimit when all are full, SessionClosed
        when none is left.
        """
        return self.open_with(lambda member: member.open(visitor, sink), now, without)

    def open_with(
        self, open_: "Callable[[Member], T]", now: float, without: "tuple[Member, ...]" = ()
    ) -> "tuple[Member, T]":
        """Do the same with a way of opening that depends on the member."""
        tried, full = without, False
        while (member := self.pick(now, tried)) is not None:
            try:
                return member, open_(member)
            except StreamLimit:
                full = True
                self.busy(member, now)
            except SessionClosed:
                self.remove(member)
            tried = (*tried, member)
        if full:
            raise StreamLimit("every agent of this endpoint is at its limit")
        raise SessionClosed("no agent serves this endpoint")
