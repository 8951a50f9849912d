"""What a passage holds of both bodies while it waits, and who wants to look at that first.

The request's body waits while nobody takes it yet, the answer's until its head is judged. A policy may want
to see the first bytes of one of them, or all, before it goes on: more is let in until there is enough.
Nothing of it is lost: it goes on afterwards as it came.
"""

from typing import TYPE_CHECKING

from portway.codec.http1 import NO_BODY
from portway.edge.http_heads import CONTINUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.codec.http1 import RequestHead, ResponseHead
    from portway.edge.http_exchange import Exchange
    from portway.edge.http_sides import Lines, VisitorSide

    Seen = Callable[[bytes, bool], None]
    """Takes the bytes, and whether that is the whole body."""


class Held:
    """The bodies of a passage, as far as they wait in it."""

    __slots__ = (
        "_held", "_held_end", "_held_size", "_looking", "_side", "_trailers", "_unsent", "body_ended",
        "exchange", "head",
    )  # fmt: skip

    def __init__(self, side: "VisitorSide", exchange: "Exchange") -> None:
        """Hold nothing."""
        self._side = side
        self.exchange = exchange
        """The request as it came, and what is told of it."""
        self.head: RequestHead = exchange.head
        """The request as it goes on; a policy may have changed it."""
        self.body_ended: float | None = None
        """When the request's body was complete, in Unix seconds; None without one, or while it comes."""
        self._unsent = bytearray()
        self._trailers: Lines | None = None  # set once the request's body has ended
        self._held: list[bytes] = []
        self._held_size = 0  # what came of an answer that is held
        self._held_end: Lines | None = None
        self._looking: tuple[int, bool, Seen] | None = None  # how much, of the answer, and who

    @property
    def request_trailers(self) -> "Lines":
        """The trailers of the request, as far as they have come."""
        return self._trailers or []

    @property
    def answer_trailers(self) -> "Lines":
        """The trailers of an answer that is held; once it goes on they are nobody's to see."""
        return self._held_end or []

    def look(self, most: int, seen: "Seen") -> None:
        """Give the first bytes of the request's body, or all of it, once they are here. Before ``go_on``.

        ``seen`` is called once, perhaps at once; never, if the passage is over before.
        """
        self._looking = most, False, seen
        if self.head.expect_continue and not self.exchange.continued and not self.exchange.bytes_in:
            self.on_interim(CONTINUE)
        if self._looked():
            self._side.on_room()

    def look_back(self, head: "ResponseHead", most: int, seen: "Seen") -> None:
        """Do the same with the answer's body. Only while its head is being judged."""
        if head.framing is NO_BODY or head.status == 101:
            seen(b"", True)
            return
        self._looking = most, True, seen
        self._looked()

    def on_interim(self, head: "ResponseHead") -> None:
        """Give an answer below 200 that is no upgrade."""
        raise NotImplementedError

    def _looked(self) -> bool:
        """Show what is held to who wants to see it; tell whether more of it is wanted."""
        if self._looking is None:
            return False
        most, of_answer, seen = self._looking
        if of_answer:
            size, ended = self._held_size, self._held_end is not None
        else:
            size = len(self._unsent)
            ended = self._trailers is not None or self.head.framing is NO_BODY
        if size < most and not ended:
            return True
        self._looking = None
        held = b"".join(self._held) if of_answer else bytes(self._unsent[: most + 1])
        seen(held[:most], ended and len(held) <= most)
        return False
