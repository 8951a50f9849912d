"""Spans of finished requests and connections for OpenTelemetry: off unless ``--otlp-traces`` says where to.

A span is made of an event, with its times, when the request or the connection is over; so tracing has no
part in passing bytes. A share of them is kept (``OTEL_TRACES_SAMPLER_ARG``, 1 by default), drawn before
anything is made. The library exports in a thread of its own, and drops what the collector does not take.
"""

import os
import random
from typing import TYPE_CHECKING, Any, Final

from portway.errors import ConfigError
from portway.model.event import HttpRequestComplete, TcpConnectionClosed

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

SHARE: Final = "OTEL_TRACES_SAMPLER_ARG"
"""Variable with the share of spans that are kept, 0 to 1."""
QUEUE: Final = 4096
"""Spans that wait for the collector; more are dropped."""
_NANOSECONDS: Final = 1_000_000_000


class Tracing:
    """Makes spans of events."""

    def __init__(self, provider: Any, share: float = 1.0) -> None:
        """Take a provider of the library, whose tracer is used, and the share that is kept."""
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("portway")
        self._share = share

    def __repr__(self) -> str:
        """Show the share."""
        return f"<Tracing share={self._share:g}>"

    def observe(self, event: HttpRequestComplete | TcpConnectionClosed) -> None:
        """Make the span of a finished request or connection, if it is drawn."""
        if self._share < 1 and random.random() >= self._share:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        http = isinstance(event, HttpRequestComplete)
        span = self._tracer.start_span(
            event.method if http else "connection",
            kind=SpanKind.SERVER,
            attributes=_http(event) if isinstance(event, HttpRequestComplete) else _tcp(event),
            start_time=int(event.start_ts * _NANOSECONDS),
        )
        failed = (
            event.status >= 500 or event.aborted if isinstance(event, HttpRequestComplete) else event.error
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(int(event.end_ts * _NANOSECONDS))

    def close(self) -> None:
        """Export what waits, and end. Blocks for some seconds at most."""
        self._provider.shutdown()


def start(url: str) -> Tracing:
    """Trace to a collector's URL, such as http://collector:4318/v1/traces. Raises ConfigError.

    The other settings of the exporter come from its standard ``OTEL_…`` variables.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError("--otlp-traces needs the extra: pip install 'portway[tracing]'") from error
    name = os.environ.get("OTEL_SERVICE_NAME") or "portway"
    provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=url, timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
    return Tracing(provider, share())


def share() -> float:
    """Return the share of spans that are kept. Raises ConfigError."""
    text = os.environ.get(SHARE) or "1"
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise ConfigError(f"{SHARE}: {text!r} is no share; write a number from 0 to 1")
    return found


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
