"""WIRE + NET = a live session: one connection between an agent and a service, either end.

::

    session      the socket, TLS, the clock, and every byte that goes out
    rpc          one JSON request, one answer
    heartbeat    proving that the peer is alive
    handshake    Auth, and what is allowed before it

The names that owners of sessions need are here, those of `portway.wire` included.
"""

from portway.session.handshake import AUTH_TIMEOUT, authenticate
from portway.session.session import FIRST_LIMIT, Session, SessionHandler
from portway.wire.frames import ErrorCode, Role
from portway.wire.opening import StreamType
from portway.wire.profile import OFFICIAL_GO, OFFICIAL_RUST, PORTWAY, STRICT, Profile, profile_for
from portway.wire.stream import Stream

__all__ = [
    "AUTH_TIMEOUT",
    "FIRST_LIMIT",
    "OFFICIAL_GO",
    "OFFICIAL_RUST",
    "PORTWAY",
    "STRICT",
    "ErrorCode",
    "Profile",
    "Role",
    "Session",
    "SessionHandler",
    "Stream",
    "StreamType",
    "authenticate",
    "profile_for",
]
