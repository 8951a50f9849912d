"""Policies that ask the edge for something: actions and fetches that the test plays."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from portway.edge.policy import EndpointPolicy
from portway.edge.policy_fetch import Asked, Fetcher, Fetches
from portway.net.tasks import Tasks
from portway.policy.actions import ActionType
from portway.policy.engine import Policy, Rule, Run, Step
from portway.policy.phase import Phase
from portway.policy.verdict import Failed, Fetch, Respond, Verdict, refusal
from tests.kit.certs import Certs
from tests.kit.http_edge import AgentStream
from tests.kit.policies import Ruled, ruled


class Asking:
    """An action that asks for something, and answers what it got if it is told to."""

    def __init__(
        self, what: str = "thing", *, answers: bool = False, times: int = 1, **arguments: object
    ) -> None:
        self.fetch = Fetch(what, arguments)
        self.answers = answers
        self.times = times
        self.got: list[object] = []

    def run(self, run: Run) -> Verdict | None:
        return self.fetch

    def resume(self, run: Run, result: object) -> Verdict | None:
        self.got.append(result)
        if isinstance(result, Failed):
            return refusal(result.status, result.code, result.message)
        if len(self.got) < self.times:
            return self.fetch
        if self.answers:
            return Respond(200, body=repr(result).encode())
        return None


def policy_of(action: Asking, phase: Phase = Phase.HTTP_REQUEST) -> Policy:
    """Make a policy of this action alone."""
    kind = ActionType("asking", lambda _config, _compiler: action, frozenset((phase,)))
    step = Step(kind, action, "here", 1, 1, ends=False, guard=False)
    return Policy({phase: (Rule("", "rule", 1, 1, (), (step,)),)})


class Desk:
    """A fetch of the kind ``thing``: it waits until the test says what comes of it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.cancelled = 0
        self._answers: asyncio.Queue[object] = asyncio.Queue()

    async def fetch(self, asked: Asked, _arguments: Mapping[str, object]) -> object:
        self.asked.append(asked)
        try:
            found = await self._answers.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(found, BaseException):
            raise found
        return found

    def give(self, what: object) -> None:
        self._answers.put_nowait(what)


@asynccontextmanager
async def fetching(
    text: str = "",
    kinds: Mapping[str, Fetcher] | None = None,
    *,
    certs: Certs | None = None,
    serve: Callable[[AgentStream], None] | None = None,
) -> AsyncGenerator[tuple[Ruled, Fetches]]:
    """Open an edge with a policy, whose fetches are carried out."""
    async with Tasks() as tasks, ruled(certs=certs, serve=serve) as on:
        fetches = on.policies.fetches = Fetches(tasks, kinds)
        if text:
            await on.rule(text)
        yield on, fetches


def put(on: Ruled, compiled: Policy) -> None:
    """Let a policy that is made by hand rule over the stand's endpoint."""
    on.stand.endpoint.policy = EndpointPolicy(on.policies, compiled, {}, "")


def failed(result: object) -> Failed:
    """Return a result that is a failure."""
    assert isinstance(result, Failed)
    return result
