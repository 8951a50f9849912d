"""W3C Trace Context: where a request stands in a trace, as ``traceparent`` and ``tracestate`` say it.

``00-<trace, 32 digits>-<span, 16 digits>-<flags, 2 digits>``, digits hexadecimal and lower case (Trace
Context §3.2). What is malformed counts as absent, and a ``tracestate`` without a good ``traceparent`` does
too (§4.3): then the request begins a trace of its own.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

STATE_LIMIT: Final = 512
"""Bytes of ``tracestate`` that are passed on; a longer one is dropped whole (§3.3.1.5 asks for 512)."""
SAMPLED: Final = 1
"""The flag which says that the caller keeps its span."""

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?").fullmatch
_NOBODY = frozenset((b"0" * 32, b"0" * 16))
_NAMES = (b"traceparent", b"tracestate")


class Context(NamedTuple):
    """A span by its name, and what its trace carries along."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def read(lines: Iterable[bytes]) -> Context | None:
    """Return what the field lines of a head say, ``name:value`` each; None where they say nothing good."""
    parents: list[bytes] = []
    states: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        if len(name) in (10, 11) and (lower := name.lower()) in _NAMES:
            (parents if lower == _NAMES[0] else states).append(value.strip(b" \t"))
    found = _PARENT(parents[0]) if len(parents) == 1 else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or trace in _NOBODY or span in _NOBODY or (version == b"00" and more):
        return None
    state = b",".join(each for each in states if each)
    if len(state) > STATE_LIMIT or not state.isascii():
        state = b""
    return Context(trace.decode(), span.decode(), bool(int(flags, 16) & SAMPLED), state.decode())


def rewritten(lines: Iterable[bytes], context: Context) -> list[bytes]:
    """Return the field lines with this context in the place of the one that they had."""
    kept = [line for line in lines if line.partition(b":")[0].lower() not in _NAMES]
    flags = "01" if context.sampled else "00"
    kept.append(f"traceparent: 00-{context.trace_id}-{context.span_id}-{flags}".encode())
    if context.state:
        kept.append(b"tracestate: " + context.state.encode())
    return kept
