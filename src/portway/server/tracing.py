"""Spans of finished requests and connections for OpenTelemetry: off unless ``--otlp-traces`` says where to.

A span is made of an event, with its times, when the request or the connection is over; so exporting has no
part in passing bytes. Its identifier, its trace and whether it is kept were decided when the request began,
since the upstream was told of them (``edge/tracer.py``); a connection is in no trace but its own. The library
exports in a thread of its own, and drops what the collector does not take.
"""

import os
import random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from portway.errors import ConfigError
from portway.model.event import HttpRequestComplete, TcpConnectionClosed, Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

SAMPLER: Final = "OTEL_TRACES_SAMPLER"
"""Variable that says which traces are kept."""
SHARE: Final = "OTEL_TRACES_SAMPLER_ARG"
"""Variable with the share of them for those that go by one, 0 to 1."""
QUEUE: Final = 4096
"""Spans that wait for the collector; more are dropped."""
_NANOSECONDS: Final = 1_000_000_000
_PARENT: Final = "parentbased_"
_SHARES: Final = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}


class Sampling(NamedTuple):
    """Which traces are kept."""

    share: float = 1.0
    """Of those that begin here."""
    heeds: bool = True
    """Those of callers are kept if the caller says so, and only then."""


class _Ids:
    """Gives the library the identifiers that the edge has chosen, and chance ones where it has none."""

    def __init__(self) -> None:
        self.trace: Trace | None = None

    def generate_span_id(self) -> int:
        """Return the identifier of the next span."""
        return random.getrandbits(64) or 1 if self.trace is None else int(self.trace.span_id, 16)

    def generate_trace_id(self) -> int:
        """Return that of the trace which it begins."""
        return random.getrandbits(128) or 1 if self.trace is None else int(self.trace.trace_id, 16)

    def is_trace_id_random(self) -> bool:
        """Tell the library that all of them are chance."""
        return True


class Tracing:
    """Makes spans of events."""

    def __init__(self, provider: Any, share: float = 1.0) -> None:
        """Take a provider of the library, which keeps all, and the share of connections that are kept."""
        self._provider = provider
        self._ids = provider.id_generator = _Ids()
        self._tracer: Tracer = provider.get_tracer("portway")
        self._share = share

    def __repr__(self) -> str:
        """Show the share."""
        return f"<Tracing share={self._share:g}>"

    def observe(self, event: HttpRequestComplete | TcpConnectionClosed) -> None:
        """Make the span of a finished request or connection, if it is kept."""
        if isinstance(event, HttpRequestComplete):
            trace, failed = event.trace, event.status >= 500 or event.aborted
        else:
            trace, failed = None, bool(event.error)
        kept = trace.sampled if trace is not None else self._share >= 1 or random.random() < self._share
        if not kept:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        self._ids.trace = trace
        http = isinstance(event, HttpRequestComplete)
        span = self._tracer.start_span(
            event.method if http else "connection",
            context=_context(trace),
            kind=SpanKind.SERVER,
            attributes=_http(event) if isinstance(event, HttpRequestComplete) else _tcp(event),
            start_time=int(event.start_ts * _NANOSECONDS),
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(int(event.end_ts * _NANOSECONDS))

    def close(self) -> None:
        """Export what waits, and end. Blocks for some seconds at most."""
        self._provider.shutdown()


def start(url: str, sampling: Sampling) -> Tracing:
    """Trace to a collector's URL, such as http://collector:4318/v1/traces. Raises ConfigError.

    The other settings of the exporter come from its standard ``OTEL_…`` variables.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError as error:
        raise ConfigError("--otlp-traces needs the extra: pip install 'portway[tracing]'") from error
    name = os.environ.get("OTEL_SERVICE_NAME") or "portway"
    resource = Resource.create({"service.name": name})
    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=url, timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
    return Tracing(provider, sampling.share)


def sampling() -> Sampling:
    """Return what the standard variables say of which traces are kept. Raises ConfigError."""
    named = os.environ.get(SAMPLER) or "parentbased_traceidratio"
    heeds, kind = named.startswith(_PARENT), named.removeprefix(_PARENT)
    if kind not in _SHARES:
        known = ", ".join((*_SHARES, *(_PARENT + each for each in _SHARES)))
        raise ConfigError(f"{SAMPLER}: {named!r} is not known here; write one of {known}")
    share = _SHARES[kind]
    return Sampling(_share() if share is None else share, heeds)


def _share() -> float:
    text = os.environ.get(SHARE) or "1"
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise ConfigError(f"{SHARE}: {text!r} is no share; write a number from 0 to 1")
    return found


def _context(trace: Trace | None) -> "Context":
    """Return the library's word for a visitor's span; without one, for nothing."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

    nothing = Context()  # and not what this thread happens to be doing
    if trace is None or not trace.parent_id:
        return nothing
    parent = SpanContext(
        int(trace.trace_id, 16),
        int(trace.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
    return set_span_in_context(NonRecordingSpan(parent), nothing)


def _http(event: HttpRequestComplete) -> dict[str, str | int | bool]:
    path, _, query = event.target.partition("?")
    found: dict[str, str | int | bool] = {
        "http.request.method": event.method,
        "http.response.status_code": event.status,
        "http.request.body.size": event.request_length,
        "http.response.body.size": event.response_length,
        "network.protocol.version": event.version.removeprefix("HTTP/"),
        "url.scheme": event.scheme,
        "url.path": path,
        "server.address": event.host,
        "server.port": event.server_port,
        "client.address": event.client_ip,
        "portway.endpoint.id": event.endpoint_id,
        "portway.account.id": event.account_id,
    }
    if query:
        found["url.query"] = query
    if event.user_agent:
        found["user_agent.original"] = event.user_agent
    if event.error_code:
        found["error.type"] = event.error_code
    return found


def _tcp(event: TcpConnectionClosed) -> dict[str, str | int | bool]:
    return {
        "url.full": event.url,
        "server.address": event.server_name,
        "server.port": event.server_port,
        "client.address": event.client_ip,
        "portway.bytes_in": event.bytes_in,
        "portway.bytes_out": event.bytes_out,
        "portway.endpoint.id": event.endpoint_id,
        "portway.account.id": event.account_id,
    }
