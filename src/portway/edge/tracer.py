"""Gives each request of a visitor its place in a trace, where the service traces at all.

A request that names a span of its caller's (W3C Trace Context) is joined to that trace; any other begins one.
The upstream is told of the span that the service makes of the request, so its own hang below that. The span
itself is made of the event, when the request is over (``server/tracing.py``).
"""

import secrets
from typing import TYPE_CHECKING

from portway.codec.trace_context import Context, read, rewritten
from portway.model.event import Trace

if TYPE_CHECKING:
    from portway.codec.http1 import RequestHead


class Tracer:
    """Makes the places of requests in traces."""

    def __init__(self, share: float = 1.0, *, heeds: bool = True, joins: bool = True) -> None:
        """Keep this share of the traces that begin here.

        ``heeds``: a caller that has decided whether its trace is kept has decided for us too. ``joins``:
        what visitors say of traces is believed at all.
        """
        self._below = int(share * (1 << 64))
        self._heeds = heeds
        self._joins = joins

    def __repr__(self) -> str:
        """Show the share."""
        return f"<Tracer share={self._below / (1 << 64):g} heeds={self._heeds} joins={self._joins}>"

    def begin(self, head: "RequestHead") -> Trace:
        """Return the place of a request."""
        parent = read(head.plain) if self._joins else None
        span_id = secrets.token_hex(8)
        if parent is None:
            trace_id = secrets.token_hex(16)
            return Trace(trace_id, span_id, "", self._drawn(trace_id), "")
        sampled = parent.sampled if self._heeds else self._drawn(parent.trace_id)
        return Trace(parent.trace_id, span_id, parent.span_id, sampled, parent.state)

    def _drawn(self, trace_id: str) -> bool:
        """Decide by the trace, as other services of the same share do (``TraceIdRatioBased``)."""
        return int(trace_id[16:], 16) < self._below


def traced(head: "RequestHead", trace: Trace) -> "RequestHead":
    """Return the head for the upstream, which names our span as its caller."""
    mine = Context(trace.trace_id, trace.span_id, trace.sampled, trace.state)
    return head._replace(plain=rewritten(head.plain, mine))
