"""What is counted, kept and summed up; that visitors' connections count is shown through the whole edge."""

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from portway.edge.counters import Counted, Counters, Ledger, snapshot
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint, Registry
from portway.model.url import Url


def busy(n: int) -> Counters:
    """Return counters of so many requests, all answered."""
    counters = Counters()
    for _ in range(n):
        counters.asked()
        counters.answered(200, 1, 10)
    return counters


def online(registry: Registry, host: str, account_id: str = "ac_1") -> Endpoint:
    made = Endpoint("ep_1", Url("http", host, 80), "http", account_id, Pool(lambda n: n - 1))
    registry.add(made)
    return made


def test_a_request_is_under_way_until_it_is_answered() -> None:
    counters = Counters()
    counters.asked()
    counters.asked()
    assert counters.counted() == Counted(open=2, requests=2)
    counters.answered(404, 3, 40)
    counters.answered(0, 5, 0)
    assert counters.counted() == Counted(0, 0, 2, 8, 40, (1, 0, 0, 0, 1, 0))
    assert "requests=2" in repr(counters)


def test_a_connection_is_open_until_it_is_closed() -> None:
    counters = Counters()
    counters.connections += 1
    counters.open += 1
    counters.closed(7, 9)
    assert counters.counted() == Counted(connections=1, bytes_in=7, bytes_out=9)


def test_what_comes_back_goes_on_where_it_stopped() -> None:
    ledger = Ledger()
    first = ledger.take(("http", "a"))
    assert ledger.take(("http", "a")) is first, "two legs of one agent"
    first.add(busy(3))
    ledger.give_back(("http", "a"))
    assert ledger.offline() == {}
    ledger.give_back(("http", "a"))
    first.add(busy(1))  # what still ran when it went
    assert ledger.offline()["http"].requests == 4
    assert ledger.take(("http", "a")) is first
    assert ledger.take(("https", "a")) is not first
    assert "online=2 offline=0" in repr(ledger)


def test_what_is_forgotten_stays_in_the_sum() -> None:
    ledger = Ledger(kept=2)
    for name in "abc":
        ledger.take(("http", name)).add(busy(1))
    running = ledger.take(("tcp", "d"))
    running.open += 1
    for key in (("tcp", "d"), ("http", "a"), ("http", "b"), ("http", "c")):
        ledger.give_back(key)
    assert ledger.offline() == {"tcp": Counted(open=1), "http": Counted(0, 0, 3, 3, 30, (0, 0, 3, 0, 0, 0))}
    assert ledger.take(("tcp", "d")) is running, "what still counts is forgotten last"
    assert ledger.take(("http", "a")).requests == 0


@given(st.lists(st.tuples(st.sampled_from(["take", "give", "work"]), st.integers(0, 5)), max_size=60))
def test_totals_never_fall(steps: list[tuple[str, int]]) -> None:
    registry = Registry()
    registry.ledger = Ledger(kept=2)
    up: dict[int, Endpoint] = {}
    before, worked = Counted(), 0
    for step, number in steps:
        if step == "take" and number not in up:
            up[number] = online(registry, f"{number}.test")
        elif step == "give" and number in up:
            registry.remove(up.pop(number))
        elif step == "work" and number in up:
            up[number].counters.add(busy(2))
            worked += 2
        total = snapshot(registry).total("http")
        assert all(now >= then for now, then in zip(astuple(total)[:5], astuple(before)[:5], strict=True))
        assert total.requests == worked
        before = total


def test_a_snapshot_is_of_everybody_but_the_service_itself() -> None:
    registry = Registry()
    mine, theirs = online(registry, "x.internal"), online(registry, "x.internal", "ac_2")
    registry.add(Endpoint("", Url("http", "api.test", 80), "http", "", Pool(lambda n: n - 1), own=True))
    mine.counters.add(busy(2))
    taken = snapshot(registry)
    assert [(each.account_id, each.url, each.binding, each.counted.requests) for each in taken.endpoints] == [
        ("ac_1", "http://x.internal", "internal", 2),
        ("ac_2", "http://x.internal", "internal", 0),
    ]
    assert taken.total("http").requests == 2
    assert taken.total("tcp") == Counted()
    registry.remove(mine)
    again = online(registry, "x.internal")
    assert again.counters.requests == 2
    assert theirs.counters.requests == 0
