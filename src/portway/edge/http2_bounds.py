"""How much trouble one HTTP/2 peer may make before its connection ends.

Two scores. *Resets*: requests that were begun and then reset, by the peer (rapid reset) or by us because of
an illegal frame that the peer sent (MadeYouReset), each of which costs an upstream its work; an answer that
was given takes one off. *Idle frames*: those that carry nothing; every request, every kibibyte of a body
that moves and every piece for the peer take some off: a kibibyte when it has left, since whole windows wait
in queues and are paid for too soon otherwise. So does every second, or a connection
that lives for days would end one day for its pings. Honest peers stay near zero; floods get there at once.
"""

from typing import TYPE_CHECKING, Final

from portway.codec.http2 import Http2, Owner

if TYPE_CHECKING:
    from portway.edge.ports import Limits

EARNED: Final = 20
"""Idle frames that one request pays for."""

PER_KIBIBYTE: Final = 2
"""Idle frames that a kibibyte of a body pays for: peers may answer each small piece with an update."""

PER_PIECE: Final = 4
"""Idle frames that a piece of a body pays for, however small: peers may answer each with two updates."""

PER_SECOND: Final = 10
"""Idle frames that a second pays for."""


class Bounds:
    """The scores of one connection."""

    __slots__ = ("_idle", "_idle_most", "_moved", "_resets", "_resets_most")

    def __init__(self, resets: int, idle_frames: int) -> None:
        """Allow so many of each."""
        self._resets = 0
        self._idle = 0
        self._moved = 0
        self._resets_most = resets
        self._idle_most = idle_frames

    def __repr__(self) -> str:
        """Show the scores."""
        return f"<Bounds resets={self._resets} idle={self._idle}>"

    def reset(self) -> bool:
        """Count a request that was reset; False: it is too much."""
        self._resets += 1
        return self._resets <= self._resets_most

    def answered(self) -> None:
        """Count a request that got its answer."""
        if self._resets:
            self._resets -= 1

    def idle_frame(self) -> bool:
        """Count a frame that carries nothing; False: it is too much."""
        self._idle += 1
        return self._idle <= self._idle_most

    def request(self) -> None:
        """Count a request."""
        self._idle = max(0, self._idle - EARNED)

    def moved(self, size: int) -> None:
        """Count bytes of a body, in either direction."""
        if self._idle:
            self._moved += size
            paid, self._moved = divmod(self._moved, 1024)
            self._idle = max(0, self._idle - paid * PER_KIBIBYTE)

    def piece(self) -> None:
        """Count a piece of a body for the peer; its bytes are counted when they have left (``moved``)."""
        self._idle = max(0, self._idle - PER_PIECE)

    def second(self) -> None:
        """Another second has passed."""
        self._resets = max(0, self._resets - 1)
        self._idle = max(0, self._idle - PER_SECOND)


def bounded(owner: Owner, limits: "Limits", *, client: bool) -> tuple[Bounds, Http2]:
    """Start one end of a connection under the limits that hold for both; ``owner`` hears of it."""
    core = Http2(
        owner,
        client=client,
        streams=limits.http2_streams,
        stream_window=limits.http2_stream_window,
        connection_window=limits.http2_connection_window,
        head_bytes=limits.head_bytes,
    )
    return Bounds(limits.http2_resets, limits.http2_idle_frames), core
