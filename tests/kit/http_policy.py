"""A policy that is played by the test, which says what it does in each phase."""

from collections.abc import Callable

from portway.codec.http1 import ResponseHead
from portway.edge.http_passage import Passage


class HandHooks:
    """What the policy of a test does with one request."""

    def __init__(self, passage: Passage, policy: "HandPolicy") -> None:
        self.passage = passage
        self.policy = policy
        self.heads: list[ResponseHead] = []
        self.overs = 0

    def on_request(self) -> None:
        self.policy.request(self.passage)

    def on_response(self, head: ResponseHead) -> None:
        self.heads.append(head)
        self.policy.response(self.passage, head)

    def on_unreached(self, status: int, code: int) -> bool:
        return self.policy.unreached(self.passage, status, code)

    def on_over(self) -> None:
        self.overs += 1


class HandPolicy:
    """A policy; what is not given lets everything pass."""

    def __init__(
        self,
        request: Callable[[Passage], None] = Passage.go_on,
        response: Callable[[Passage, ResponseHead], None] = Passage.pass_on,
        unreached: Callable[[Passage, int, int], bool] = lambda _passage, _status, _code: False,
    ) -> None:
        self.request = request
        self.response = response
        self.unreached = unreached
        self.begun: list[HandHooks] = []

    def begin(self, passage: Passage) -> HandHooks:
        hooks = HandHooks(passage, self)
        self.begun.append(hooks)
        return hooks


class Upper:
    """A filter that writes in capitals and signs."""

    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def end(self) -> bytes:
        return b" SIGNED"
