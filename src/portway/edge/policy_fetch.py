"""What actions ask of the edge: the requests behind ``verdict.Fetch``, and the tasks that carry them out.

Rules run without waiting. An action that needs something from elsewhere (a key set, the request's body, an
answer of another server, the judgement of a thread) ends its run with ``Fetch(kind, arguments)``; the edge
carries that out here and goes on with ``Run.resume(result)``. Meanwhile the request waits, with what its
bodies' windows hold and not a byte more, and nothing else does.

::

    PolicyHooks ── Fetch ──▶ Fetches.start ──▶ a task: the function of this kind
         ▲                                          │ result, or Failed
         └──────── run.resume ◀── done ─────────────┘       (passage over: the task is cancelled)

A function of a kind is ``async def kind(asked, arguments)``. It returns the result, or raises
:class:`FetchFailed`; whatever else it raises is told as 2300. Each has a deadline, and so many run at a
time of one account and of all; more are refused at once, so that a slow target does not hold up others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from portway.errors import PortwayError
from portway.policy.verdict import INTERNAL, UNAPPLIED, Failed

if TYPE_CHECKING:
    from portway.codec.http1 import ResponseHead
    from portway.edge.http_passage import Passage
    from portway.edge.registry import Endpoint
    from portway.net.tasks import Tasks
    from portway.policy.facts import Facts
    from portway.policy.phase import Phase
    from portway.policy.verdict import Fetch

_log = logging.getLogger(__name__)

AT_ONCE: Final = 1000
"""Requests of visitors that wait for a fetch at a time."""
AT_ONCE_OF_ACCOUNT: Final = 250
"""Those of one account among them."""
DEADLINE: Final = 60.0
"""Seconds that one fetch may take, whatever its own limits say."""
BODIES: Final = 64 << 20
"""Bytes of bodies that all requests may hold so that actions see them."""
STEP: Final = 16_384
"""Bytes of a body that are waited for at first; then four times as many, and so on."""

NOT_BUFFERED: Final = 3903


class FetchFailed(PortwayError):
    """What was asked for cannot be had: the action hears of it as Failed."""

    def __init__(self, code: int, message: str, status: int = 502) -> None:
        """Take a code, a sentence that a visitor may read, and a status."""
        super().__init__(message)
        self.failed = Failed(code, message, status)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks: one request, in one phase of one endpoint's policy."""

    endpoint: "Endpoint"
    phase: "Phase"
    facts: "Facts"
    passage: "Passage"
    answer: "ResponseHead | None" = None
    """The head of the answer, in on_http_response."""
    leave: list[Callable[[], None]] = field(default_factory=lambda: list[Callable[[], None]]())
    """Called when the request is over."""

    @property
    def account_id(self) -> str:
        """Whose policy it is."""
        return self.endpoint.account_id


Fetcher = Callable[[Asked, Mapping[str, object]], Awaitable[object]]


class Waiting:
    """A fetch that is under way."""

    __slots__ = ("_task",)

    def __init__(self, task: "asyncio.Task[None] | None") -> None:
        """Hold its task."""
        self._task = task

    def cancel(self) -> None:
        """Nobody waits for it any more. Idempotent."""
        if self._task is not None:
            self._task.cancel()


class Fetches:
    """The kinds of fetch that an edge knows, and those that run."""

    def __init__(self, tasks: "Tasks", kinds: "Mapping[str, Fetcher] | None" = None) -> None:
        """Know these kinds, and ``body``."""
        self._tasks = tasks
        self._kinds: dict[str, Fetcher] = {"body": self._body, **(kinds or {})}
        self._running: dict[str, int] = {}
        self._held = 0
        self.counts: dict[tuple[str, str], int] = {}
        """Fetches that are over, by kind and "done" or "failed"."""

    def __repr__(self) -> str:
        """Show how many run, and what they hold."""
        return f"<Fetches {sum(self._running.values())} running, {self._held} bytes>"

    def know(self, kinds: "Mapping[str, Fetcher]") -> None:
        """Know more kinds."""
        self._kinds.update(kinds)

    def start(self, fetch: "Fetch", asked: Asked, done: "Callable[[object], None]") -> Waiting:
        """Carry a fetch out; ``done`` is called once with its result, later, unless it is cancelled."""
        account = asked.account_id
        if (
            self._running.get(account, 0) >= AT_ONCE_OF_ACCOUNT
            or sum(self._running.values()) >= AT_ONCE
            or self._kinds.get(fetch.what) is None
        ):
            known = fetch.what in self._kinds
            said = "Too many requests wait already." if known else "This service cannot do what is asked."
            asyncio.get_running_loop().call_soon(done, Failed(INTERNAL, said, 503 if known else 500))
            return Waiting(None)
        self._running[account] = self._running.get(account, 0) + 1
        task = self._tasks.start(self._run(fetch, asked, done), name=f"fetch {fetch.what}")
        task.add_done_callback(lambda _: self._left(account))
        return Waiting(task)

    async def _run(self, fetch: "Fetch", asked: Asked, done: "Callable[[object], None]") -> None:
        result = await self._carry_out(fetch, asked)
        key = fetch.what, "failed" if isinstance(result, Failed) else "done"
        self.counts[key] = self.counts.get(key, 0) + 1
        done(result)

    async def _carry_out(self, fetch: "Fetch", asked: Asked) -> object:
        try:
            async with asyncio.timeout(DEADLINE):
                return await self._kinds[fetch.what](asked, fetch.arguments)
        except FetchFailed as error:
            return error.failed
        except TimeoutError:
            return Failed(INTERNAL, "What the traffic policy asked for took too long.", 504)
        except Exception:  # noqa: BLE001 - the containment point: a visitor gets 2300, never our exception
            _log.exception("a fetch of a traffic policy failed: %s", fetch.what)
            return Failed(INTERNAL, UNAPPLIED, 500)

    def _left(self, account: str) -> None:
        left = self._running[account] - 1
        if left:
            self._running[account] = left
        else:
            del self._running[account]

    # -- the kind `body`

    async def _body(self, asked: Asked, arguments: Mapping[str, object]) -> object:
        """Return the first ``limit`` bytes of the message's body; ``whole``: all of it, or fail 413."""
        limit, whole = int(str(arguments["limit"])), bool(arguments.get("whole"))
        wanted, held = min(STEP, limit + 1), 0
        while True:
            self._hold(asked, wanted - held)
            held = wanted
            body, complete = await self._look(asked, wanted)
            if complete or wanted > limit:
                break
            wanted = min(4 * wanted, limit + 1)
        if whole and (not complete or len(body) > limit):
            raise FetchFailed(NOT_BUFFERED, f"The body is longer than {limit} bytes.", 413)
        return body[:limit]

    def _hold(self, asked: Asked, size: int) -> None:
        """Count what a request may hold from now to its end. Raises FetchFailed."""
        if self._held + size > BODIES:
            raise FetchFailed(NOT_BUFFERED, "Too many bodies are held back at the moment.", 503)
        self._held += size
        asked.leave.append(lambda: self._let_go(size))

    def _let_go(self, size: int) -> None:
        self._held -= size

    @staticmethod
    def _look(asked: Asked, most: int) -> "asyncio.Future[tuple[bytes, bool]]":
        """Return the future of a body's first bytes."""
        future: asyncio.Future[tuple[bytes, bool]] = asyncio.get_running_loop().create_future()

        def seen(body: bytes, complete: bool) -> None:
            if not future.done():
                future.set_result((body, complete))

        if asked.answer is not None:
            asked.passage.look_back(asked.answer, most, seen)
        else:
            asked.passage.look(most, seen)
        return future
