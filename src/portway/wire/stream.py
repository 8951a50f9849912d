"""One stream of a session, as the Pipe that a leg writes into.

The fields without a leading underscore that the docstring does not mention belong to the package:
``Output`` and ``Connection`` work on them directly, because this is the path of every byte.
"""

from typing import TYPE_CHECKING, Final

from portway.errors import LocalProtocolError
from portway.wire.frames import DATA_WORD, HEADER, ErrorCode, pack_head, pack_head_into
from portway.wire.output import FREE, MIN_ROOM, NO_CREDIT
from portway.wire.states import MOVES, SENDING, Event, State
from portway.wire.window import Account

if TYPE_CHECKING:
    from portway.pipe import Sink
    from portway.wire.connection import Connection


_OPEN, _ABORTED = State.OPEN, State.ABORTED  # slow to reach through their enumeration


class Nobody:
    """The Sink of a stream that is over: hears all, does nothing."""

    def on_data(self, view: memoryview) -> None:
        """Drop the bytes."""

    def on_end(self) -> None:
        """Ignore the end."""

    def on_reset(self, code: int) -> None:
        """Ignore the reset."""

    def on_room(self) -> None:
        """Ignore the room."""


NOBODY: Final = Nobody()
"""One for all: finished streams must not keep their legs alive."""


class Stream(Account):
    """A stream; see ``portway.pipe.Pipe`` for what a leg may call.

    ``id`` is its number, ``connection`` its session's machine, ``state`` where it stands and
    ``urgent`` whether its frames go ahead of bulk data.
    """

    __slots__ = (
        "connection",
        "final_epoch",
        "grant_at",
        "grant_epoch",
        "id",
        "out",
        "sink",
        "state",
        "turn",
        "turn_round",
        "urgent",
        "waiting",
    )

    def __init__(self, connection: "Connection", stream_id: int, sink: "Sink", *, urgent: bool) -> None:
        """Make an open stream; only the connection does."""
        super().__init__()
        self.connection = connection
        self.step = connection.profile.grant_step
        self.out = connection.output
        self.id = stream_id
        self.sink: Sink = sink
        self.state = _OPEN
        self.urgent = urgent
        self.waiting = FREE
        self.turn = 0
        self.turn_round = 0
        self.grant_at = 0
        self.grant_epoch = -1
        self.final_epoch = -1

    def __repr__(self) -> str:
        """Show id, state and credit."""
        return (
            f"<Stream {self.id} {self.state.name} credit={self.credit} grant={self.grant}/{self.window}"
            f"{' urgent' if self.urgent else ''}>"
        )

    # -- Pipe

    def lend(self) -> memoryview | None:
        """Return space in the session's bulk area, or None when parked or finished."""
        credit = self.credit
        if credit <= 0 or self.waiting:
            self._park_for_credit()
            return None
        out = self.out
        if self.urgent:
            out.lender = self
            out.lent = min(credit, MIN_ROOM)
            return memoryview(self.connection.scratch())[: out.lent]
        room = out.capacity - out.pos - out.reserved - HEADER
        if self.turn:
            room = self.turn - HEADER if out.queue else room + self.turn
        if room < MIN_ROOM:
            out.join(self)
            return None
        if credit < room:
            room = credit
        if room > out.frame_limit:
            room = out.frame_limit
        view = out.view
        if view is None:
            view = out.borrow()
        start = out.pos + HEADER
        out.lender = self
        out.lent = room
        return view[start : start + room]

    def filled(self, n: int) -> bool:
        """Turn the first ``n`` bytes of the last lend into a frame; False when now parked.

        Raise LocalProtocolError when there is no such lend.
        """
        out = self.out
        if out.lender is not self or not 0 < n <= out.lent:
            raise LocalProtocolError(f"filled({n}) without a lend of that size on {self!r}")
        out.lender = None
        if self.urgent:
            return self._send_urgent(memoryview(self.connection.scratch())[:n]) == n and not self.waiting
        pos = out.pos
        view = out.view
        assert view is not None
        pack_head_into(view, pos, n << 8 | DATA_WORD, self.id)
        self.credit = credit = self.credit - n
        assert credit >= 0
        out.pos = pos = pos + HEADER + n
        if not out.asked:
            out.ask()
        if self.turn:
            out.end_turn(self)
            if credit and out.queue:
                out.join(self)
                return False
        if not credit:
            self.waiting = NO_CREDIT
            return False
        if out.capacity - pos - out.reserved < HEADER + MIN_ROOM:
            out.join(self)
            return False
        return True

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Copy as much of ``data`` as credit and room allow; less than all means parked."""
        size = len(data)
        if not size:
            return 0
        credit = self.credit
        if credit <= 0 or self.waiting:
            self._park_for_credit()
            return 0
        out = self.out
        out.lender = None
        if self.urgent:
            return self._send_urgent(data)
        pos = out.pos
        if (
            self.turn
            or size > credit
            or size > out.frame_limit
            or size > out.capacity - pos - out.reserved - HEADER
        ):
            return self._send_parts(data)
        view = out.view
        if view is None:
            view = out.borrow()
        start = pos + HEADER
        pack_head_into(view, pos, size << 8 | DATA_WORD, self.id)
        view[start : start + size] = data
        out.pos = start + size
        self.credit = credit - size
        if not out.asked:
            out.ask()
        return size

    def _send_parts(self, data: bytes | bytearray | memoryview) -> int:
        """Send in several frames, or as far as it goes, or by using up a turn."""
        out = self.out
        size = len(data)
        sent = 0
        while sent < size:
            turn = self.turn
            room = out.capacity - out.pos - out.reserved - HEADER
            if turn:
                room = turn - HEADER if out.queue else room + turn
            left = size - sent
            if room < left and room < MIN_ROOM:
                out.join(self)
                break
            n = min(left, room, self.credit, out.frame_limit)
            if not n:
                self.waiting = NO_CREDIT
                break
            view = out.view
            if view is None:
                view = out.borrow()
            start = out.pos + HEADER
            pack_head_into(view, out.pos, n << 8 | DATA_WORD, self.id)
            view[start : start + n] = memoryview(data)[sent : sent + n]
            out.pos = start + n
            self.credit -= n
            sent += n
            if turn:
                used = min(turn, n + HEADER)
                self.turn = turn - used
                out.reserved -= used
        if not out.asked:
            out.ask()
        return sent

    def end(self) -> None:
        """Send FIN behind all that was taken; idempotent."""
        if self.state in SENDING:
            self.connection.end(self)

    def abort(self, code: int = ErrorCode.STREAM_CANCELLED) -> None:
        """Cut both directions, in the way that this peer understands; idempotent."""
        if self.state < _ABORTED:
            self.connection.cut(self, code)

    def consume(self, n: int) -> None:
        """Give credit for ``n`` delivered bytes back, in the profile's steps.

        Raise LocalProtocolError when more is consumed than was delivered.
        """
        if self.window and self.digest(n):
            self.connection.give_back(self)

    # -- inside

    def move(self, event: Event) -> State:
        """Make the table's move for ``event``: the one place where a state changes."""
        self.state = state = MOVES[self.state][event]
        return state

    def stop_sending(self) -> None:
        """Leave the queue and give up turn, credit and lend."""
        self.close_out()
        self.waiting = FREE
        if self.turn:
            self.out.end_turn(self)
        if self.out.lender is self:
            self.out.lender = None

    def _park_for_credit(self) -> None:
        if not self.waiting and self.state in SENDING:
            self.waiting = NO_CREDIT

    def _send_urgent(self, data: bytes | bytearray | memoryview) -> int:
        """Put frames into the first area: credit is the only bound, floods are counted."""
        out = self.out
        left = memoryview(data)[: self.credit]
        taken = len(left)
        while left:
            part = left[: out.frame_limit]
            left = left[out.frame_limit :]
            out.first += pack_head(len(part) << 8 | DATA_WORD, self.id)
            out.first += part
            if self.connection.is_peers(self.id):
                out.answers += HEADER + len(part)
        self.credit -= taken
        if not self.credit:
            self.waiting = NO_CREDIT
        if not out.asked:
            out.ask()
        return taken
