"""What stands in the place of a policy while it is compiled: requests wait for it, for a while.

A cloud endpoint is online as soon as its row is here. Its policy is compiled off the event loop, and the
first policy of a process takes longer than the others. What comes meanwhile must neither get past the policy
nor be told that the endpoint has none.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from portway.edge import pages
from portway.edge.http_naming import Misdirected
from portway.edge.policy_connect import admitted
from portway.edge.policy_pool import Unruled

if TYPE_CHECKING:
    from portway.edge.http_passage import Passage
    from portway.edge.http_sides import RequestHooks

PATIENCE: Final = 10.0
"""Seconds that requests wait for a policy."""


class Preparing:
    """A policy that is being compiled (a ``RequestPolicy``)."""

    __slots__ = ("_held", "_timer")

    def __init__(self) -> None:
        """Hold nobody yet."""
        self._held: dict[_Held, None] = {}  # in the order in which they came; any of them may leave
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show how many wait."""
        return f"<Preparing held={len(self._held)}>"

    def begin(self, passage: "Passage") -> "RequestHooks":
        """Hold a request."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._give_up)
        held = _Held(self, passage)
        self._held[held] = None
        return held

    def ready(self) -> None:
        """What rules from now on is in its place: let it judge those that wait. Idempotent."""
        judged: dict[int, bool] = {}
        for each in self._taken():
            each.go_on(judged)

    def _give_up(self) -> None:
        for each in self._taken():
            each.refuse()

    def leave(self, held: "_Held") -> None:
        """A request is over."""
        self._held.pop(held, None)

    def _taken(self) -> "list[_Held]":
        if self._timer is not None:
            self._timer.cancel()
        taken, self._held, self._timer = self._held, {}, None
        return list(taken)


class _Held(Unruled):
    """A request that waits. Once it goes on, it is as if nothing had been."""

    __slots__ = ("_gates", "_preparing")

    def __init__(self, preparing: Preparing, passage: "Passage") -> None:
        super().__init__(passage)
        self._preparing = preparing
        self._gates = passage.endpoint.gates if passage.endpoint is not None else ()

    def on_request(self) -> None:
        """Wait."""

    def on_over(self) -> None:
        self._preparing.leave(self)

    def go_on(self, judged: dict[int, bool]) -> None:
        """Let the policy judge the request, and the connection if it has something to say of those.

        ``judged`` tells of the connections that were judged just now: requests of HTTP/2 share one.
        """
        passage = self._passage
        if passage.over:
            return  # the verdict on another has ended its connection
        assert passage.endpoint is not None
        if passage.endpoint.gates != self._gates:
            connection = id(passage.upstreams.facts)
            if connection not in judged:
                judged[connection] = self._is_admitted()
            if not judged[connection]:
                passage.cut()
                return
        passage.judge(passage.endpoint)

    def refuse(self) -> None:
        """It has waited long enough. Nobody serves it: who shares the URL may have another policy."""
        self._passage.fail(500, pages.NO_VERDICT)

    def _is_admitted(self) -> bool:
        facts, endpoint = self._passage.upstreams.facts, self._passage.endpoint
        assert endpoint is not None
        if facts.gate is not None or (facts.tls is not None and facts.tls.gate is not None):
            return False  # others were asked; the visitor may connect once more
        try:
            return admitted(facts, endpoint, self._passage.upstreams.edge.config.region)
        except Misdirected:
            return False
