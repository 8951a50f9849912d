"""The session protocol of portway, without I/O: many byte streams on one connection.

``Connection`` is the machine of one end. A driver feeds it received bytes and the time, and sends
what it puts out. Streams are Pipes (``portway.pipe``). The protocol is written down in
docs/spec/wire.md; which peer bears what is in ``profile``.

Modules, from the bottom: ``frames`` (layout, codes), ``states`` (the table of a stream's life),
``window`` (credit), ``opening`` (first bytes of a stream), ``profile``, ``output`` (areas, turns),
``stream``, ``connection``; and ``messages``, the JSON that requests and answers carry.
"""

from portway.wire.connection import Connection, Handler
from portway.wire.frames import ErrorCode, Role
from portway.wire.opening import Opening, StreamType, pack_opening
from portway.wire.output import AREA_SIZE, Areas
from portway.wire.profile import (
    NEWCOMER,
    OFFICIAL_GO,
    OFFICIAL_RUST,
    OFFICIAL_SERVICE,
    PORTWAY,
    STRICT,
    Profile,
    profile_for,
)
from portway.wire.stream import Stream

__all__ = [
    "AREA_SIZE",
    "NEWCOMER",
    "OFFICIAL_GO",
    "OFFICIAL_RUST",
    "OFFICIAL_SERVICE",
    "PORTWAY",
    "STRICT",
    "Areas",
    "Connection",
    "ErrorCode",
    "Handler",
    "Opening",
    "Profile",
    "Role",
    "Stream",
    "StreamType",
    "pack_opening",
    "profile_for",
]
