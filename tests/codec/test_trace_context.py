"""Trace Context in the field lines of heads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.codec.trace_context import STATE_LIMIT, Context, read, rewritten

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"traceparent: 00-{TRACE}-{SPAN}-01".encode()


def test_a_parent_is_read() -> None:
    assert read([b"Accept: */*", GOOD]) == Context(TRACE, SPAN, sampled=True)
    assert read([f"TraceParent:00-{TRACE}-{SPAN}-02\t".encode()]) == Context(TRACE, SPAN, sampled=False)
    later = [
        f"traceparent: cc-{TRACE}-{SPAN}-01-what-comes-later".encode(),
        b"tracestate: a=1",
        b"TraceState:b=2",
    ]
    assert read(later) == Context(TRACE, SPAN, sampled=True, state="a=1,b=2")


@pytest.mark.parametrize(
    "line",
    [
        f"traceparent: 00-{TRACE}-{SPAN}-01-more",
        f"traceparent: ff-{TRACE}-{SPAN}-01",
        f"traceparent: 00-{TRACE.upper()}-{SPAN}-01",
        f"traceparent: 00-{'0' * 32}-{SPAN}-01",
        f"traceparent: 00-{TRACE}-{'0' * 16}-01",
        f"traceparent: 00-{TRACE}-{SPAN}-1",
        f"traceparent: 00-{TRACE[1:]}-{SPAN}-01",
        f"traceparent: 00-{TRACE}-{SPAN}",
        "traceparent:",
        "tracestate: a=1",
        "x-traceparent: 1",
    ],
)
def test_what_is_malformed_is_no_parent(line: str) -> None:
    assert read([line.encode(), b"tracestate: a=1"]) is None


def test_two_parents_are_none() -> None:
    assert read([GOOD, GOOD]) is None


def test_a_state_that_is_too_long_is_dropped_whole() -> None:
    found = read([GOOD, b"tracestate: a=" + b"x" * STATE_LIMIT])
    assert found == Context(TRACE, SPAN, sampled=True)


def test_a_context_takes_the_place_of_the_former() -> None:
    mine = Context(TRACE, "b7ad6b7169203331", sampled=False, state="a=1")
    lines = rewritten([b"Accept: */*", GOOD, b"TRACESTATE: b=2", b"traceparent: nonsense"], mine)
    assert lines == [
        b"Accept: */*",
        f"traceparent: 00-{TRACE}-b7ad6b7169203331-00".encode(),
        b"tracestate: a=1",
    ]
    assert read(lines) == mine


@given(st.lists(st.binary(max_size=80)))
def test_any_lines_give_a_context_or_none(lines: list[bytes]) -> None:
    found = read([GOOD[:-1] + line for line in lines])
    assert found is None or found.trace_id == TRACE
