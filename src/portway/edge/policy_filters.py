"""What a Traffic Policy puts into a body's way, made safe for the passage that asks it.

A filter that fails ends the request: with an error page while nothing was given to the visitor, by a cut
afterwards. A *gathering* holds a body back because one of its filters must see all of it; what comes out
goes on with its length known.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, cast

from portway.codec.event_stream import EventStream, EventTooLong
from portway.policy.actions import ActionFailed
from portway.policy.verdict import INTERNAL, UNAPPLIED

if TYPE_CHECKING:
    from portway.codec.event_stream import Message
    from portway.edge.http_sides import Filter

_log = logging.getLogger(__name__)

NOT_BUFFERED: Final = 3903

Failure = Callable[[ActionFailed], None]
"""Told once when a body cannot go on."""


class Chain:
    """Filters, one behind the other, that never raise."""

    __slots__ = ("_failed", "_filters", "_over")

    def __init__(self, filters: "Sequence[object]", failed: Failure) -> None:
        """Ask these in order; tell of a failure, and give nothing more."""
        self._filters = cast("Sequence[Filter]", filters)
        self._failed = failed
        self._over = False

    def __repr__(self) -> str:
        """Show the filters."""
        return f"<Chain {[type(each).__name__ for each in self._filters]}>"

    @property
    def gathers(self) -> bool:
        """One of the filters must see the whole body."""
        return any(getattr(each, "whole", False) for each in self._filters)

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what goes on now."""
        return self._try(lambda: self._feed(data, 0))

    def end(self) -> bytes:
        """Return what goes on before the end of the body."""
        return self._try(self._end)

    def _feed(self, data: bytes, first: int) -> bytes:
        for each in self._filters[first:]:
            if not data:
                return b""
            data = each.feed(data)
        return data

    def _end(self) -> bytes:
        return b"".join([self._feed(each.end(), place + 1) for place, each in enumerate(self._filters)])

    def _try(self, act: Callable[[], bytes]) -> bytes:
        if self._over:
            return b""
        try:
            return act()
        except ActionFailed as error:
            failure = error
        except EventTooLong:
            failure = ActionFailed(NOT_BUFFERED, "A message of the event stream is too long.", 502)
        except Exception:  # noqa: BLE001 - the containment point: a visitor gets 2300, never our exception
            _log.exception("a filter of a traffic policy failed")
            failure = ActionFailed(INTERNAL, UNAPPLIED)
        self._over = True
        self._failed(failure)
        return b""


class Gathering:
    """A body that is held back until it is whole."""

    __slots__ = ("_chain", "_done", "_held")

    def __init__(self, chain: Chain, done: Callable[[bytes], None]) -> None:
        """Send the body through this chain; hand over what comes out."""
        self._chain = chain
        self._done = done
        self._held: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Take a piece; nothing goes on."""
        self._held.append(self._chain.feed(data))
        return b""

    def end(self) -> bytes:
        """The body is whole."""
        self._held.append(self._chain.end())
        body, self._held = b"".join(self._held), []
        self._done(body)
        return b""


def event_filter(change: "Callable[[Message], bool]") -> EventStream:
    """Make the filter of an event stream."""
    return EventStream(change)
