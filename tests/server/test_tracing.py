"""Spans of finished requests and connections."""

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from portway.errors import ConfigError
from portway.model.event import HttpRequestComplete, TcpConnectionClosed, Trace
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
    assert _traced(0.0, *[REQUEST, CONNECTION] * 50).get_finished_spans() == ()


def test_a_span_is_where_the_upstream_was_told_that_it_is() -> None:
    begun = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "b7ad6b7169203331", sampled=True)
    joined = begun._replace(span_id="b7ad6b7169203332", parent_id="00f067aa0ba902b7", state="a=1")
    unkept = begun._replace(sampled=False)
    made = [replace(REQUEST, trace=each) for each in (begun, joined, unkept)]
    first, second, after = _traced(1.0, *made, CONNECTION).get_finished_spans()
    for span, trace in ((first, begun), (second, joined)):
        assert span.context is not None
        assert format(span.context.trace_id, "032x") == trace.trace_id
        assert format(span.context.span_id, "016x") == trace.span_id
    assert first.parent is None
    assert second.parent is not None
    assert format(second.parent.span_id, "016x") == "00f067aa0ba902b7"
    assert second.context is not None
    assert second.context.trace_state.to_header() == "a=1"
    assert after.parent is None
    assert after.context is not None
    assert after.context.trace_id != second.context.trace_id


@pytest.mark.parametrize(
    ("sampler", "share", "expected"),
    [
        ("", "", (1.0, True)),
        ("", "0.25", (0.25, True)),
        ("traceidratio", "0.25", (0.25, False)),
        ("always_on", "0.25", (1.0, False)),
        ("parentbased_always_off", "", (0.0, True)),
    ],
)
def test_what_the_variables_say(
    monkeypatch: pytest.MonkeyPatch, sampler: str, share: str, expected: tuple[float, bool]
) -> None:
    monkeypatch.setenv(tracing.SAMPLER, sampler)
    monkeypatch.setenv(tracing.SHARE, share)
    assert tracing.sampling() == expected


@pytest.mark.parametrize(
    ("variable", "odd"), [(tracing.SHARE, "2"), (tracing.SHARE, "much"), (tracing.SAMPLER, "jaeger_remote")]
)
def test_variables_that_mean_nothing(monkeypatch: pytest.MonkeyPatch, variable: str, odd: str) -> None:
    monkeypatch.setenv(variable, odd)
    with pytest.raises(ConfigError, match=odd):
        tracing.sampling()
