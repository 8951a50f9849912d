"""Places of requests in traces: those that begin here, those that are joined, and what upstreams are told."""

import re

import pytest
from tests.kit.http2_client import certs2, visit2
from tests.kit.http_edge import AgentStream, Stand, stand
from tests.kit.http_policy import HandPolicy

from portway.codec.http1 import parse_request
from portway.edge.http_sides import RequestPolicy
from portway.edge.tracer import Tracer, traced
from portway.model.event import Trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"


def _head(*lines: str) -> bytes:
    return "\r\n".join(("GET / HTTP/1.1", "Host: a", *lines, "", "")).encode()


def test_a_trace_begins_or_is_joined() -> None:
    begun = Tracer().begin(parse_request(_head("traceparent: odd", "tracestate: a=1")))
    assert re.fullmatch("[0-9a-f]{32} [0-9a-f]{16}", f"{begun.trace_id} {begun.span_id}")
    assert begun[2:] == ("", True, "")
    joined = Tracer(0).begin(parse_request(_head(PARENT, "tracestate: a=1")))
    assert joined == Trace(TRACE, joined.span_id, SPAN, sampled=True, state="a=1")
    assert joined.span_id not in {SPAN, begun.span_id}
    apart = Tracer(joins=False).begin(parse_request(_head(PARENT)))
    assert apart.trace_id != TRACE
    assert apart.parent_id == ""


def test_a_share_of_traces_is_kept_and_always_the_same_ones() -> None:
    half = Tracer(0.5, heeds=False)
    low, high = (f"traceparent: 00-{'1' * 16}{end}-{SPAN}-00" for end in ("7" + "f" * 15, "8" + "0" * 15))
    assert half.begin(parse_request(_head(low))).sampled
    assert not half.begin(parse_request(_head(high))).sampled
    assert not Tracer(1).begin(parse_request(_head(low))).sampled, "the caller does not keep it"


def test_the_upstream_is_told_once() -> None:
    trace = Trace(TRACE, "b7ad6b7169203331", SPAN, sampled=True)
    head = traced(traced(parse_request(_head(PARENT, "X: y")), trace), trace)
    assert head.plain == [b"X: y", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01".encode()]


async def _told(made: Stand, stream: AgentStream) -> tuple[str, Trace]:
    """Answer; return what the upstream was told, and what the event has."""
    (said,) = re.findall(r"(?im)^traceparent: ?(.*)\r$", (await stream.heads()).decode())
    stream.ok()
    trace = (await made.request_told(len(made.edge.requests) + 1)).trace
    assert trace is not None
    return said, trace


@pytest.mark.parametrize("policy", [None, HandPolicy()])
async def test_upstreams_hear_of_the_span_that_the_event_has(policy: RequestPolicy | None) -> None:
    async with stand(policy=policy) as made:
        made.edge.tracer = Tracer()
        client = await made.visit()
        client.get("/", PARENT)
        said, trace = await _told(made, await made.agent.stream())
        assert said == f"00-{TRACE}-{trace.span_id}-01"
        assert (trace.trace_id, trace.parent_id) == (TRACE, SPAN)
        await client.answer()
        client.get("/", PARENT)
        before = made.agent.opened[0].data
        again = (await made.agent.opened[0].until(b"\r\n\r\n", 2))[len(before) :]
        assert TRACE.encode() in again
        assert trace.span_id.encode() not in again, "each request has a span of its own"
        made.agent.opened[0].ok()
        await client.answer()


async def test_requests_of_http2_are_traced() -> None:
    async with stand(certs=certs2()) as made:
        made.edge.tracer = Tracer()
        client = await visit2(made)
        stream = client.ask("/", ("traceparent", PARENT.partition(": ")[2]))
        said, trace = await _told(made, await made.agent.stream())
        assert said == f"00-{TRACE}-{trace.span_id}-01"
        assert (await client.answer(stream)).status == 200


async def test_nothing_is_changed_where_nothing_is_traced() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get("/", PARENT)
        stream = await made.agent.stream()
        assert PARENT.encode() in await stream.heads()
        stream.ok()
        assert (await made.request_told()).trace is None
