"""Rows that wait for their URL."""

from collections.abc import Callable

from portway.edge.waiting import Waiting
from portway.model.view import EdgeEndpointItem


class Claims:
    """Tells when a URL is free."""

    def __init__(self) -> None:
        self.freed: Callable[[object], None] = lambda _url: None

    def on_freed(self, tell: Callable[[object], None]) -> None:
        self.freed = tell


def test_what_waits_is_tried_again_until_it_is_gone() -> None:
    claims, tried = Claims(), list[str]()
    waiting: Waiting[EdgeEndpointItem] = Waiting(lambda item: tried.append(item.id), claims)  # type: ignore[arg-type]
    for each in ("a", "b"):
        waiting.add(EdgeEndpointItem(each, "ac", url="tcp://localhost:1", edge_id="e"), "an address")
    waiting.forget("a")
    waiting.forget("never there")
    claims.freed("tcp://localhost:1")
    assert (tried, len(waiting)) == (["b"], 0)


def test_one_that_is_put_on_may_let_others_wait_or_go() -> None:
    claims, tried = Claims(), list[str]()
    items = [EdgeEndpointItem(each, "ac", url="tcp://localhost:1", edge_id="e") for each in "abc"]

    def put_on(item: EdgeEndpointItem) -> None:
        tried.append(item.id)
        waiting.forget("b")  # as a row of it may come meanwhile
        waiting.add(item, "it")

    waiting: Waiting[EdgeEndpointItem] = Waiting(put_on, claims)  # type: ignore[arg-type]
    for each in items:
        waiting.add(each, "it")
    waiting.try_again()
    assert (tried, len(waiting)) == (["a", "c"], 2)
