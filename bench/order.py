"""What a measurement asks of the load: the values that one process hands to another."""

import ssl
from dataclasses import dataclass
from typing import Final

FOREVER: Final = 1 << 50
"""Bytes of a transfer that time ends."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the load shall do; the fields that a kind does not need keep their defaults."""

    port: int
    host: str = "localhost"
    """Host header, with a port where one belongs; its name is the SNI."""
    ca: str = ""
    """Path of the CA's certificate; empty means no TLS."""
    vary: bool = False
    """Whether query and cookie of each request differ from all others."""
    streams: int = 1
    size: int = FOREVER
    seconds: float = 0.0
    count: int = 0
    concurrency: int = 50

    def request(self, number: int) -> bytes:
        """Return a GET; always of one size, so that only its being new makes a difference."""
        n = number if self.vary else 0
        head = f"GET /item?n={n:08d} HTTP/1.1\r\nHost: {self.host}\r\nUser-Agent: bench/1\r\nAccept: */*\r\n"
        return f"{head}Cookie: theme=light; visit={n:08d}\r\n\r\n".encode()

    def context(self, *protocols: str) -> ssl.SSLContext | None:
        """Return the TLS context that was asked for, offering these protocols."""
        if not self.ca:
            return None
        context = ssl.create_default_context(cafile=self.ca)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context
