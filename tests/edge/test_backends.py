"""Who serves a visitor of an edge: the walk from a backend to a member."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec
import pytest
from tests.kit.edges import ACCOUNT, backend

from portway.edge.backends import NO_TUNNEL, NOTHING_ONLINE, BackendPool, Backends
from portway.edge.counters import Counters
from portway.edge.member import Answered, Unserved, Visitor
from portway.edge.pool import Pool
from portway.errors import SessionClosed, StreamLimit
from portway.model.view import BackendItem


class Stub:
    """A member that does as it is told."""

    forwards_proto = ""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.id = name
        self.usable = True
        self.counters = Counters()
        self.failure = failure
        self.down_until = 0.0
        self.retired = False

    def open(self, visitor: Visitor, sink: Any) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.id


class Groups:
    """Tunnel groups whose tunnels a test puts there."""

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}

    def put_group(self, group_id: str, account_id: str, labels: Mapping[str, str]) -> None:
        assert account_id
        assert labels is not None
        self.pools.setdefault(group_id, Pool(lambda _: 0))

    def drop_group(self, group_id: str) -> None:
        self.pools.pop(group_id, None)

    def pool(self, group_id: str) -> Pool | None:
        return self.pools.get(group_id)


def below() -> Callable[[int], int]:
    return Random(7).randrange


def known(*items: BackendItem, groups: Groups | None = None) -> Backends:
    """Return backends; those of kind static are stubs that go by their address."""
    made = Backends(
        groups or Groups(),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        {"static": lambda _id, spec: Stub(spec["address"])},  # pyright: ignore[reportArgumentType, reportUnknownLambdaType]
        below(),
    )
    for item in items:
        made.changed(item)
    return made


def picked(backends: Backends, backend_id: str, now: float = 0.0, account: str = ACCOUNT) -> str | None:
    found = backends.pick(backend_id, account, now)
    return None if found is None else found.id


@pytest.mark.row("ED-04")
def test_weights_are_kept_within_five_percent_over_two_thousand_visitors() -> None:
    backends = known(
        backend("static", 1, address="one"),
        backend("static", 2, address="three"),
        backend("weighted", 1, backends={"bkdsc_1": 1, "bkdsc_2": 3}),
    )
    seen = Counter(picked(backends, "bkdwd_1") for _ in range(2000))
    assert abs(seen["one"] / 2000 - 0.25) < 0.05
    assert seen["one"] + seen["three"] == 2000


def test_a_weight_of_zero_is_nobody_and_who_cannot_serve_is_passed_over() -> None:
    groups = Groups()
    backends = known(
        backend("static", 1, address="one"),
        backend("tunnel_group", 1),
        backend("weighted", 1, backends={"bkdsc_1": 1, "bkdtg_1": 9999}),
        backend("weighted", 2, backends={"bkdsc_1": 0}),
        groups=groups,
    )
    assert {picked(backends, "bkdwd_1") for _ in range(20)} == {"one"}
    assert picked(backends, "bkdwd_2") is None


@pytest.mark.row("ED-05")
def test_failover_takes_the_first_that_can_serve() -> None:
    groups = Groups()
    backends = known(
        backend("tunnel_group", 1),
        backend("static", 1, address="spare"),
        backend("failover", 1, backends=["bkdtg_1", "bkdsc_1"]),
        groups=groups,
    )
    assert picked(backends, "bkdfo_1") == "spare"
    tunnel = Stub("tunnel")
    groups.pools["bkdtg_1"].add(tunnel)
    assert picked(backends, "bkdfo_1") == "tunnel"
    tunnel.usable = False
    assert picked(backends, "bkdfo_1") == "spare"


def test_what_was_just_unreachable_comes_last() -> None:
    backends = known(
        backend("static", 1, address="first"),
        backend("static", 2, address="second"),
        backend("failover", 1, backends=["bkdsc_1", "bkdsc_2"]),
    )
    first: Any = backends.pick("bkdfo_1", ACCOUNT, 10.0)
    first.down_until = 11.0
    assert picked(backends, "bkdfo_1", 10.5) == "second"
    assert picked(backends, "bkdsc_1", 10.5) == "first", "nobody else is there"
    assert picked(backends, "bkdfo_1", 11.5) == "first"


def test_a_backend_of_somebody_else_serves_nobody() -> None:
    backends = known(backend("static", 1, address="one", account_id="ac_other"))
    assert picked(backends, "bkdsc_1") is None
    assert list(backends.members("bkdsc_1", ACCOUNT)) == []
    assert picked(backends, "bkdsc_1", account="ac_other") == "one"


def test_a_change_holds_for_the_next_visitor() -> None:
    backends = known(backend("static", 1, address="one"))
    backends.changed(backend("static", 1, address="two"))
    assert picked(backends, "bkdsc_1") == "two"
    backends.changed(BackendItem("bkdsc_1", ACCOUNT, gone=True))
    assert picked(backends, "bkdsc_1") is None
    assert "0" in repr(backends)


def test_a_member_ends_with_the_fields_of_its_backend_and_not_with_its_texts() -> None:
    backends = known(backend("static", address="a"))
    (member,) = backends.members("bkdsc_1", ACCOUNT)
    assert isinstance(member, Stub)
    backends.changed(backend("static", address="a"))
    assert list(backends.members("bkdsc_1", ACCOUNT)) == [member]
    assert not member.retired
    backends.changed(backend("static", address="b"))
    assert picked(backends, "bkdsc_1") == "b"
    assert member.retired
    (other,) = backends.members("bkdsc_1", ACCOUNT)
    assert isinstance(other, Stub)
    backends.changed(msgspec.structs.replace(backend("static", address="b"), gone=True))
    assert other.retired


def test_who_is_busy_two_steps_away_is_passed_over() -> None:
    groups = Groups()
    backends = known(
        backend(),
        backend("failover", backends=["bkdtg_1"]),
        backend("weighted", backends={"bkdfo_1": 1}),
        groups=groups,
    )
    one, two = Stub("one"), Stub("two")
    for each in (one, two):
        groups.pools["bkdtg_1"].add(each)  # pyright: ignore[reportArgumentType]
    assert picked(backends, "bkdwd_1") == "one"
    backends.busy("bkdwd_1", ACCOUNT, one, 0.0)  # pyright: ignore[reportArgumentType]
    assert picked(backends, "bkdwd_1", now=0.5) == "two"
    backends.evict("bkdwd_1", ACCOUNT, two)  # pyright: ignore[reportArgumentType]
    assert list(backends.members("bkdwd_1", ACCOUNT)) == [one]


def test_a_pool_opens_evicts_and_says_why_nobody_serves() -> None:
    groups = Groups()
    backends = known(backend("tunnel_group", 1), backend("failover", 1, backends=["bkdtg_1"]), groups=groups)
    pool = BackendPool(backends, ACCOUNT, "bkdtg_1")
    visitor: Any = None
    with pytest.raises(Unserved) as caught:
        pool.open(visitor, visitor, 0.0)
    assert caught.value.code == NO_TUNNEL
    assert str(caught.value) == "no tunnel matches the labels of bkdtg_1 (ERR_NGROK_6515)"
    for backend_id in ("", "bkdfo_1"):
        with pytest.raises(Unserved) as caught:
            BackendPool(backends, ACCOUNT, backend_id).open(visitor, visitor, 0.0)
        assert caught.value.code == NOTHING_ONLINE
    over, full, fine = Stub("over", SessionClosed("over")), Stub("full", StreamLimit("full")), Stub("fine")
    for member in (over, full, fine):
        groups.pools["bkdtg_1"].add(member)
    assert pool.open(visitor, visitor, 0.0) == (fine, "fine")
    assert pool.members == (full, fine)
    assert "bkdtg_1" in repr(pool)


def test_an_answer_that_is_written_down_passes_through_the_pool() -> None:
    answered = Answered(None, b"")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    backends = Backends(
        Groups(),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        {"http_response": lambda name, _spec: Stub(name, answered)},  # pyright: ignore[reportArgumentType, reportUnknownLambdaType]
        below(),
    )
    backends.changed(BackendItem("bkdhr_1", ACCOUNT, "http_response", json.dumps({"body": ""})))
    visitor: Any = None
    with pytest.raises(Answered):
        BackendPool(backends, ACCOUNT, "bkdhr_1").open(visitor, visitor, 0.0)
