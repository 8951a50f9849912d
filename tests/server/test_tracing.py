"""Spans of finished requests and connections."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from portway.errors import ConfigError
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.server import tracing
from portway.server.tracing import Tracing

REQUEST = HttpRequestComplete(
    client_ip="192.0.2.1", start_ts=1.8e9, end_ts=1.8e9 + 0.5, scheme="https", host="a.example", method="GET",
    target="/x?y=1", status=502, user_agent="curl/8", error_code="ERR_NGROK_3200", endpoint_id="ep_1",
)  # fmt: skip
CONNECTION = TcpConnectionClosed(
    client_ip="192.0.2.1", start_ts=1.8e9, end_ts=1.8e9 + 2, bytes_in=3, bytes_out=4
)


def _traced(share: float, *events: HttpRequestComplete | TcpConnectionClosed) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = Tracing(provider, share)
    for event in events:
        tracer.observe(event)
    tracer.close()
    return exporter


def test_a_span_has_the_times_of_its_event() -> None:
    request, connection = _traced(1.0, REQUEST, CONNECTION).get_finished_spans()
    assert (request.name, request.end_time) == ("GET", 1_800_000_000_500_000_000)
    said = dict(request.attributes or {})
    assert (said["http.response.status_code"], said["url.path"], said["url.query"]) == (502, "/x", "y=1")
    assert (said["error.type"], said["user_agent.original"]) == ("ERR_NGROK_3200", "curl/8")
    assert not request.status.is_ok
    assert connection.name == "connection"
    assert dict(connection.attributes or {})["portway.bytes_out"] == 4


def test_nothing_is_made_of_what_is_not_drawn() -> None:
    assert _traced(0.0, *[REQUEST] * 50).get_finished_spans() == ()


def test_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.SHARE, "0.25")
    assert tracing.share() == 0.25
    for odd in ("2", "much"):
        monkeypatch.setenv(tracing.SHARE, odd)
        with pytest.raises(ConfigError):
            tracing.share()
