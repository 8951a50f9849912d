"""What every way of sending events has in common."""

import gzip
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from portway.control.events.outbox import Item

AGAIN: Final = frozenset((408, 425, 429))
"""Statuses below 500 after which trying again may help."""
ANSWER_LIMIT: Final = 64 << 10
"""Bytes of a receiver's answer that are read; a longer one is a failure."""
SAID: Final = 300
"""Characters of it that are shown."""
TIMEOUT: Final = 10.0
"""Seconds that a receiver has for its whole answer, unless its settings say otherwise."""


class Undelivered(Exception):
    """Events have not arrived. ``final``: they never will; ``done`` of them, the first, have."""

    def __init__(self, message: str, *, final: bool = False, done: int = 0) -> None:
        """Take a sentence for the operator."""
        super().__init__(message)
        self.message = message
        self.final = final
        self.done = done


class Reply(Protocol):
    """The answer of a receiver."""

    @property
    def status(self) -> int:
        """Its status."""
        ...

    @property
    def body(self) -> bytes:
        """Its body, whole."""
        ...


class Poster(Protocol):
    """Sends requests to addresses that somebody else has named."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Reply:
        """Post and return the answer. Raises Undelivered when there is none within the time."""
        ...


class Printer(Protocol):
    """Writes lines somewhere near, and never waits for a reader."""

    def write(self, data: bytes) -> object:
        """Take whole lines."""
        ...


class Sender(Protocol):
    """One destination's way of sending."""

    @property
    def batch_size(self) -> int:
        """Events of one call, at most."""
        ...

    @property
    def batch_seconds(self) -> float:
        """Seconds that the first event of a batch waits for more."""
        ...

    async def send(self, items: Sequence[Item]) -> None:
        """Send; when this returns, the receiver has them. Raises Undelivered."""
        ...


async def post(poster: Poster, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> None:
    """Post once. Raises Undelivered for any answer but success, final where trying again is no use."""
    reply = await poster.post(url, headers, body, timeout)
    if 200 <= reply.status < 300:
        return
    said = reply.body[:SAID].decode("utf-8", "replace").strip()
    said = "".join(c if c.isprintable() else " " for c in said)
    final = reply.status < 500 and reply.status not in AGAIN
    raise Undelivered(f"The receiver answered {reply.status}{f': {said}' if said else ''}", final=final)


def zipped(body: bytes) -> bytes:
    """Return a body coded with gzip; the same body gives the same bytes."""
    return gzip.compress(body, compresslevel=6, mtime=0)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256, hexadecimal, of timestamp, a dot, and a body as it is sent."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
