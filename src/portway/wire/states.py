"""The life of a stream as a table: state × event → state. Only that, and no other place has moves.

::

            END            PEER_END
    OPEN ─────────▶ ENDED ──────────▶ GONE
      │  PEER_END              END      ▲
      ├─────────▶ PEER_ENDED ───────────┤
      │  ABORT                PEER_END  │
      └─────────▶ ABORTED ──────────────┘   also by EXPIRED

An aborted stream stays known until the peer has ended it too, because a peer counts it as long
as that; ``EXPIRED`` (30 s) bounds the wait. ``PEER_RESET`` and ``SESSION_END`` lead from
everywhere to GONE. DATA and WNDINC move no state: ``RECEIVING`` and ``SENDING`` say where they
count. The table does not know which end we are.
"""

from enum import IntEnum
from typing import Final


class State(IntEnum):
    """What a stream may still do. Up to PEER_ENDED we may send; see ``SENDING``."""

    OPEN = 0
    """Both directions."""
    PEER_ENDED = 1
    """The peer sent FIN; we may still send."""
    ENDED = 2
    """We sent FIN; the peer may still send."""
    ABORTED = 3
    """We cut both directions; the peer has not ended yet."""
    GONE = 4
    """Over, and no longer known to the connection."""


class Event(IntEnum):
    """What can happen to a stream."""

    END = 0
    """We finish writing."""
    ABORT = 1
    """We cut both directions."""
    PEER_END = 2
    """The peer's FIN."""
    PEER_RESET = 3
    """The peer's RST."""
    EXPIRED = 4
    """An aborted stream's peer stayed silent."""
    SESSION_END = 5
    """The session is over."""


SENDING: Final = frozenset({State.OPEN, State.PEER_ENDED})
"""Where our own FIN has not been sent."""

RECEIVING: Final = frozenset({State.OPEN, State.ENDED})
"""Where the peer's bytes reach the Sink."""

MOVES: Final[dict[State, dict[Event, State]]] = {
    State.OPEN: {
        Event.END: State.ENDED,
        Event.ABORT: State.ABORTED,
        Event.PEER_END: State.PEER_ENDED,
        Event.PEER_RESET: State.GONE,
        Event.EXPIRED: State.OPEN,
        Event.SESSION_END: State.GONE,
    },
    State.PEER_ENDED: {
        Event.END: State.GONE,
        Event.ABORT: State.GONE,
        Event.PEER_END: State.PEER_ENDED,
        Event.PEER_RESET: State.GONE,
        Event.EXPIRED: State.PEER_ENDED,
        Event.SESSION_END: State.GONE,
    },
    State.ENDED: {
        Event.END: State.ENDED,
        Event.ABORT: State.ABORTED,
        Event.PEER_END: State.GONE,
        Event.PEER_RESET: State.GONE,
        Event.EXPIRED: State.ENDED,
        Event.SESSION_END: State.GONE,
    },
    State.ABORTED: {
        Event.END: State.ABORTED,
        Event.ABORT: State.ABORTED,
        Event.PEER_END: State.GONE,
        Event.PEER_RESET: State.GONE,
        Event.EXPIRED: State.GONE,
        Event.SESSION_END: State.GONE,
    },
    State.GONE: dict.fromkeys(Event, State.GONE),
}
"""Every pair is listed: nothing that a peer or a leg does to a stream is undefined."""
