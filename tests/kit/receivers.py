"""Receivers of events that do as they are told, and a clock that only moves when somebody sleeps."""

import asyncio
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portway.control.events.delivery import Time
from portway.control.events.outbox import Item
from portway.control.events.sending import Undelivered


@dataclass
class Answer:
    """What a receiver answers."""

    status: int = 200
    body: bytes = b""


Post = tuple[str, dict[str, str], bytes]
"""URL, fields and body."""


@dataclass
class Receiver:
    """Takes posts. ``plan`` holds what it answers, then 200 for ever; an exception is raised."""

    plan: list[Answer | Exception] = field(default_factory=list[Answer | Exception])
    got: list[tuple[str, dict[str, str], bytes]] = field(
        default_factory=list[tuple[str, dict[str, str], bytes]]
    )
    stuck: asyncio.Event | None = None
    asked: int = 0
    """Requests that came, answered or not."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
        """Take one request."""
        self.asked += 1
        if self.stuck is not None:
            await self.stuck.wait()
        planned = self.plan.pop(0) if self.plan else Answer()
        if isinstance(planned, Exception):
            raise planned
        if planned.status < 300:
            self.got.append((url, dict(headers), body))
        return planned

    @property
    def bodies(self) -> list[Any]:
        """What was posted, read."""
        return [
            json.loads(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
            for _, headers, body in self.got
        ]

    @property
    def ids(self) -> list[str]:
        """Identifiers of the events that came in arrays, in order."""
        return [event["event_id"] for batch in self.bodies for event in batch]


AWAY = Undelivered("The request failed: no connection")


@dataclass
class Slept:
    """A clock: sleeping takes no time but moves it, and is written down."""

    at: float = 1_800_000_000.0
    pauses: list[float] = field(default_factory=list[float])

    def now(self) -> float:
        """Return the time."""
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Move the time."""
        self.pauses.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)

    @property
    def time(self) -> Time:
        """The clock as deliveries want it; chance is always one half."""
        return Time(self.now, self.sleep, lambda: 0.5)


def item(number: int, *, seq: int = 0, at: float = 1_800_000_000.0, size: int = 0) -> Item:
    """Make an event, written."""
    body = json.dumps({"event_id": f"ev_{number}", "pad": "x" * size}).encode()
    return Item(
        f"ev_{number}", "domain_created.v0" if seq else "http_request_complete.v0", "ac_1", at, body, seq
    )


@dataclass
class Printed:
    """Keeps what is printed."""

    lines: list[bytes] = field(default_factory=list[bytes])

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.lines += data.splitlines()


@dataclass
class Carried:
    """Keeps messages for syslog receivers: host, port, protocol, and what was sent."""

    sent: list[tuple[str, int, str, list[bytes]]] = field(
        default_factory=list[tuple[str, int, str, list[bytes]]]
    )

    async def send(
        self, host: str, port: int, protocol: str, messages: Sequence[bytes], timeout: float
    ) -> None:
        """Keep them."""
        self.sent.append((host, port, protocol, list(messages)))
