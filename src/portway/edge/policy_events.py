"""What the runs of policies add to the event of a request or a connection.

A run leaves decisions (by the name of the event's field), what ``log`` said, and diagnostics: expressions and
actions that failed, and rules that refused. Whoever ends a run adds them here; the event is made with them.
"""

from typing import TYPE_CHECKING, Final, cast

from msgspec.structs import fields

from portway.model.event import HttpRequestComplete, TcpConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portway.policy.engine import Run

LOGS: Final = "traffic_policy_logs"
DIAGNOSTICS: Final = "traffic_policy_diagnostics"

MOST: Final = 1000
"""Logs, and diagnostics, of one request or connection that its event holds; the first ones."""

_KNOWN: Final = {
    kind: frozenset(each.name for each in fields(kind)) for kind in (HttpRequestComplete, TcpConnectionClosed)
}


def told(before: "Mapping[str, object] | None", run: "Run") -> "dict[str, object] | None":
    """Add what a run decided, logged and met to what an event says besides; None while that is nothing."""
    if not (run.decisions or run.logs or run.diagnostics):
        return None if before is None else dict(before)
    made: dict[str, object] = dict(before or {})
    made.update({name.replace(".", "_"): value for name, value in run.decisions.items()})
    _extend(made, LOGS, run.logs)
    _extend(made, DIAGNOSTICS, run.diagnostics)
    return made


def fitting(kind: type, more: "Mapping[str, object] | None") -> dict[str, object]:
    """Return what of it an event of this kind has a field for."""
    return {name: value for name, value in (more or {}).items() if name in _KNOWN[kind]}


def _extend(made: dict[str, object], name: str, more: "Sequence[object]") -> None:
    if more:
        made[name] = (*cast("tuple[object, ...]", made.get(name, ())), *more)[:MOST]
