"""Events for a syslog receiver: one message each (RFC 5424), over UDP, TCP or TLS.

Over TCP and TLS messages are counted (RFC 6587 §3.4.1, RFC 5425 §4.3). The body of a message is the event,
JSON, and its MSGID the event's type. Syslog confirms nothing: a receiver over TCP that ends the connection in
order behind our end has read everything, and one over UDP may not even be there.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from portway.control.events.outbox import BATCH_COUNT, Item
from portway.control.events.sending import TIMEOUT

PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
"""The port of each protocol, where none is said (RFC 5426, 6587, 5425)."""
FACILITY: Final = 16
"""local0."""
SEVERITY: Final = 6
"""Informational."""
APP: Final = "portway"
_MSGID: Final = 32


class Wire(Protocol):
    """Carries messages to hosts that somebody else has named."""

    async def send(
        self, host: str, port: int, protocol: str, messages: Sequence[bytes], timeout: float
    ) -> None:
        """Send them over udp (one each), tcp or tls (all over one connection). Raises Undelivered."""
        ...


class Syslog:
    """Sends events to one receiver."""

    def __init__(self, settings: Mapping[str, Any], wire: Wire, machine: str) -> None:
        """Take the settings, and the name of this machine."""
        self._host: str = settings["host"]
        self._protocol: str = settings.get("protocol") or "tcp"
        self._port: int = settings.get("port") or PORTS[self._protocol]
        facility = settings.get("facility")
        self._priority = (FACILITY if facility is None else facility) * 8 + SEVERITY
        self._app: str = settings.get("app_name") or APP
        self._wire = wire
        self._machine = "".join(each for each in machine if "!" <= each <= "~")[:255] or "-"
        # A datagram that is too long cannot be sent, and must take no other with it.
        self.batch_size = 1 if self._protocol == "udp" else BATCH_COUNT
        self.batch_seconds = 0.0 if self._protocol == "udp" else 1.0

    async def send(self, items: Sequence[Item]) -> None:
        """Send the events. Raises Undelivered."""
        messages = [self.message(item) for item in items]
        if self._protocol != "udp":
            messages = [b"%d %b" % (len(each), each) for each in messages]
        await self._wire.send(self._host, self._port, self._protocol, messages, TIMEOUT)

    def message(self, item: Item) -> bytes:
        """Write one event."""
        at = datetime.fromtimestamp(item.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = f"<{self._priority}>1 {at} {self._machine} {self._app} - {item.kind[:_MSGID]} - "
        return head.encode("ascii") + item.body
