"""The streams of a session and the slots they take: who may open another, and when one is free again.

A peer dies, or refuses, when too many streams are open, and it counts a stream for as long as *it*
has not ended it. So a slot is free only when

- both directions have ended, or the peer was heard to end an aborted stream, or ``ABORT_LINGER``
  seconds have passed since the abort; and
- our last frame of the stream was flushed: an opening overtakes the FINs of the same flush.

The second rule also bounds what can pile up while a peer does not read.
"""

from typing import TYPE_CHECKING, Final

from portway.errors import StreamLimit
from portway.wire.frames import MAX_STREAM_ID, Role
from portway.wire.profile import PEER_STREAM_LIMIT, Profile

if TYPE_CHECKING:
    from portway.wire.output import Output
    from portway.wire.stream import Stream

ABORT_LINGER: Final = 30.0
"""Seconds that an aborted stream stays counted when its peer does not end it."""

FLOOD_LIMIT: Final = 4 * PEER_STREAM_LIMIT
"""Streams that a peer may open, refused ones included, before the session ends."""

_RETRY: Final = 1.0
"""Seconds until an expiry is tried again when the RST itself could not be flushed."""


class Slots:
    """The table of a connection's streams, with its counts and limits."""

    __slots__ = (
        "_aborted",
        "_ended",
        "_ended_epoch",
        "_ended_peers",
        "_output",
        "_peer_parity",
        "_peers",
        "_refused",
        "deadline",
        "next_id",
        "opened",
        "peer_last",
        "streams",
    )

    def __init__(self, role: Role, output: "Output") -> None:
        """Start empty."""
        self.streams: dict[int, Stream] = {}
        self.opened = 0
        """Streams opened so far, by either end."""
        self.peer_last = 0
        """The highest id that the peer has opened."""
        self.deadline: float | None = None
        """When ``expire`` has something to do."""
        self._output = output
        self.next_id = role.first_id
        """The id of our next stream."""
        self._peer_parity = 1 - role.parity
        self._peers = 0
        self._refused = 0
        self._ended = 0
        self._ended_peers = 0
        self._ended_epoch = 0
        self._aborted: dict[int, float] = {}

    def is_peers(self, stream_id: int) -> bool:
        """Whether the peer opens streams with such an id."""
        return stream_id & 1 == self._peer_parity

    # -- opening

    def claim(self, profile: Profile, *, urgent: bool) -> int:
        """Return the id for a new stream of ours; raise StreamLimit when the peer bears no more."""
        self._settle()
        count = len(self.streams) + self._ended
        if count >= (profile.urgent_limit if urgent else profile.stream_limit):
            raise StreamLimit(f"{count} streams are open in this session")
        stream_id = self.next_id
        if stream_id > MAX_STREAM_ID:
            raise StreamLimit("this session has used up its stream ids")
        self.next_id = stream_id + 2
        return stream_id

    def admit(self, stream_id: int, limit: int) -> bool:
        """Whether the peer may have one more stream than it has, ``limit`` in all."""
        self.peer_last = max(self.peer_last, stream_id)
        self._settle()
        if self._peers + self._ended_peers >= limit:
            self._refused += 1
            return False
        self._refused = 0
        return True

    @property
    def flooded(self) -> bool:
        """The peer goes on opening though it is refused each time."""
        return self._peers + self._refused > FLOOD_LIMIT

    def add(self, stream: "Stream") -> None:
        """Enter a new stream."""
        self.opened += 1
        self.streams[stream.id] = stream
        if stream.id & 1 == self._peer_parity:
            self._peers += 1

    # -- leaving

    def retire(self, stream: "Stream") -> None:
        """Forget a stream that is GONE."""
        stream_id = stream.id
        del self.streams[stream_id]
        self._aborted.pop(stream_id, None)
        peers = stream_id & 1 == self._peer_parity
        if peers:
            self._peers -= 1
        if stream.final_epoch == self._output.epoch:
            self._settle()
            self._ended += 1
            if peers:
                self._ended_peers += 1

    def _settle(self) -> None:
        """What ended before the last flush is out by now."""
        if self._ended_epoch != self._output.epoch:
            self._ended_epoch = self._output.epoch
            self._ended = self._ended_peers = 0

    def linger(self, stream: "Stream", now: float) -> None:
        """Keep an aborted stream until its peer ends it."""
        self._aborted[stream.id] = until = now + ABORT_LINGER
        if self.deadline is None:
            self.deadline = until

    def expire(self, now: float) -> "list[Stream]":
        """Return the aborted streams whose peers stayed silent; set the next deadline."""
        epoch = self._output.epoch
        expired: list[Stream] = []
        self.deadline = None
        for stream_id, until in self._aborted.items():
            if until > now:
                self.deadline = until if self.deadline is None else self.deadline
                break
            stream = self.streams[stream_id]
            if stream.final_epoch == epoch:
                self.deadline = now + _RETRY
            else:
                expired.append(stream)
        return expired
