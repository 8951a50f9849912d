"""What the peer of a session can bear: frames, credit, streams, and how it takes an abort.

Before Auth every agent is a newcomer, treated most strictly; its ``UserAgent`` then chooses. The
reasons stand in docs/spec/wire.md, Profiles.
"""

import re
from typing import Final

import msgspec
from msgspec.structs import replace

from portway.wire.frames import INITIAL_WINDOW, MAX_CREDIT, NEAR_WINDOW, OWN_WINDOW, RAISED_WINDOW
from portway.wire.window import GRANT_STEP, SMALL_STEP

URGENT_RESERVE: Final = 16
"""Streams beyond the limit that heartbeats and commands may still open."""

PEER_STREAM_LIMIT: Final = 4096
"""Streams that an authenticated peer may have open with us."""


class Profile(msgspec.Struct, frozen=True):
    """How to treat one kind of peer."""

    name: str
    frame_limit: int
    """Longest DATA body to send, in bytes."""
    send_credit_cap: int
    """Most credit to believe, in bytes, whatever its WNDINC says."""
    stream_limit: int
    """Streams of both directions together up to which proxied ones are opened."""
    receive_window: int
    """Receive window of a stream after its raise, in bytes; INITIAL_WINDOW means never raised."""
    grant_step: int
    """Bytes consumed on a stream before a WNDINC gives them back."""
    fin_before_reset: bool
    """An abort sends FIN, then RST: some peers leak a stream that is only reset."""
    holds_small_writes: bool
    """Its kernel sends a small write only when earlier ones are acknowledged (Nagle's algorithm)."""
    peer_limit: int = PEER_STREAM_LIMIT
    """Streams it may have open with us; the next one gets RST 9."""
    near_window: int = MAX_CREDIT
    """The same at most while the peer is near, in bytes."""
    reset_on_abort: bool = True
    """An abort sends RST at all; without, an abort looks as official agents show it: FIN."""

    @property
    def urgent_limit(self) -> int:
        """Streams up to which urgent ones (heartbeat, RPC) are opened."""
        return self.stream_limit + URGENT_RESERVE


# Rust agents die at 512 streams of both directions together and drop credit above the initial
# window; large frames only make official agents buffer.
_OFFICIAL_FRAME: Final = 65_536
_OFFICIAL_STREAMS: Final = 480

STRICT: Final = Profile(
    name="strict",
    frame_limit=_OFFICIAL_FRAME,
    send_credit_cap=INITIAL_WINDOW,
    stream_limit=_OFFICIAL_STREAMS,
    receive_window=INITIAL_WINDOW,
    grant_step=SMALL_STEP,
    fin_before_reset=True,
    holds_small_writes=True,
)
"""For a peer that has not said what it is: right for everyone."""

NEWCOMER: Final = replace(STRICT, name="newcomer", peer_limit=64)
"""For an agent that has not shown an authtoken: it needs two streams, and may not cost us thousands."""

OFFICIAL_RUST: Final = Profile(
    name="official-rust",
    frame_limit=_OFFICIAL_FRAME,
    send_credit_cap=INITIAL_WINDOW,
    stream_limit=_OFFICIAL_STREAMS,
    receive_window=INITIAL_WINDOW,
    grant_step=SMALL_STEP,
    fin_before_reset=True,
    holds_small_writes=True,
)
"""The SDKs with ngrok-rust inside (Rust, Python, JavaScript, Java)."""

OFFICIAL_GO: Final = Profile(
    name="official-go",
    frame_limit=_OFFICIAL_FRAME,
    send_credit_cap=INITIAL_WINDOW,
    stream_limit=_OFFICIAL_STREAMS,
    receive_window=RAISED_WINDOW,
    grant_step=GRANT_STEP,
    fin_before_reset=True,
    holds_small_writes=False,
)
"""The Go SDK: it uses a raised window."""

OFFICIAL_SERVICE: Final = Profile(
    name="official-service",
    frame_limit=_OFFICIAL_FRAME,
    send_credit_cap=MAX_CREDIT,
    stream_limit=_OFFICIAL_STREAMS,
    receive_window=INITIAL_WINDOW,
    grant_step=SMALL_STEP,
    fin_before_reset=True,
    holds_small_writes=False,
    reset_on_abort=False,
)
"""For our agent toward a service that is not portway: official agents never send RST 6."""

PORTWAY: Final = Profile(
    name="portway",
    frame_limit=262_144,
    send_credit_cap=MAX_CREDIT,
    stream_limit=PEER_STREAM_LIMIT - URGENT_RESERVE,
    receive_window=OWN_WINDOW,
    near_window=NEAR_WINDOW,
    grant_step=GRANT_STEP,
    # A FIN first would let a cut-off answer pass for a complete one.
    fin_before_reset=False,
    holds_small_writes=False,
)
"""Our own agents, services and nodes."""

_COMMENT = re.compile(r"\([^()]*\)")


def profile_for(user_agent: str) -> Profile:
    """Choose by an Auth's ``UserAgent``: entries ``type/version``, the SDK's own one last.

    Who is not recognised gets STRICT, which suits everyone.
    """
    if "ngrok-rust" in user_agent:
        return OFFICIAL_RUST
    entries = _COMMENT.sub("", user_agent).split()
    sdk = entries[-1].partition("/")[0] if entries else ""
    return {"portway": PORTWAY, "ngrok-go": OFFICIAL_GO}.get(sdk, STRICT)
