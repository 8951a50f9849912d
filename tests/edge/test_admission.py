"""Counts of strangers and patience with wrong tokens."""

import pytest

from portway.edge.admission import REMEMBERED, Admission, Place
from portway.edge.ports import Limits


def admit(doors: Admission, address: str) -> Place | None:
    """Come as one whom nobody can make go."""
    return doors.admit(address, lambda: pytest.fail("made to go"))


def come(doors: Admission, address: str, gone: list[str]) -> Place | None:
    """Come, and tell when made to go."""
    return doors.admit(address, lambda: gone.append(address))


def test_strangers_are_counted_in_all_and_by_address() -> None:
    doors = Admission(Limits(unauthenticated=3, unauthenticated_per_address=2))
    places = [admit(doors, "192.0.2.1") for _ in range(2)]
    assert not admit(doors, "192.0.2.1")
    places.append(admit(doors, "192.0.2.2"))
    assert not admit(doors, "192.0.2.3")
    assert places[0] is not None
    doors.leave(places[0])
    doors.leave(places[0])  # an evicted one is told twice that it is gone
    places[0] = admit(doors, "192.0.2.3")
    assert doors.strangers == 3
    for place in places:
        assert place is not None
        doors.leave(place)
    assert "strangers=0 from=0" in repr(doors)


def test_who_hoards_places_loses_the_oldest_to_a_newcomer_from_elsewhere() -> None:
    doors, gone = Admission(Limits(unauthenticated=32, unauthenticated_per_address=16)), list[str]()
    for host in (1, 1, 2, 2, 3):  # one attacker with a network of its own, and one honest agent
        for _ in range(7):
            come(doors, f"198.51.100.{host}", gone)
    assert doors.strangers == 32
    assert not gone
    honest = come(doors, "192.0.2.1", gone)
    assert honest is not None
    assert gone == ["198.51.100.1"]
    assert doors.strangers == 32
    for host in range(100):  # more of the same get nothing
        assert come(doors, f"198.51.100.{host}", gone) is None
    assert gone == ["198.51.100.1"]
    doors.leave(honest)


def test_nobody_is_made_to_go_for_an_equal() -> None:
    doors, gone = Admission(Limits(unauthenticated=4, unauthenticated_per_address=4)), list[str]()
    for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2"):
        assert come(doors, address, gone)
    assert come(doors, "198.51.100.3", gone) is None
    assert come(doors, "203.0.113.1", gone)
    assert gone == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1", "192.0.2.255", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("[2001:db8::1]", "[2001:db8::ffff:ffff:ffff:ffff]", True),
        ("[2001:db8::1]", "[2001:db8:0:1::1]", False),
        ("[fe80::1%eth0]", "[fe80::2%eth1]", True),
        ("[::ffff:192.0.2.1]", "192.0.2.7", True),
        ("[::c000:201]", "192.0.2.7", False),
        ("", "", True),
    ],
)
def test_networks(one: str, other: str, together: bool) -> None:
    doors, gone = Admission(Limits(unauthenticated=1)), list[str]()
    assert come(doors, one, gone)
    assert (come(doors, other, gone) is None) is together
    assert gone == ([] if together else [one])


def test_ten_wrong_tokens_a_minute_then_delay() -> None:
    doors = Admission(Limits())
    for second in range(10):
        assert doors.delay("a", float(second)) == 0.0
        doors.wrong_token("a", float(second))
    assert doors.delay("a", 10.0) == 5.0
    assert doors.delay("b", 10.0) == 0.0
    assert doors.delay("a", 60.0) == 0.0  # the first one is a minute old
    assert doors.delay("a", 200.0) == 0.0
    assert "wrong=0" in repr(doors)


def test_zero_delays_always() -> None:
    assert Admission(Limits(wrong_tokens=0)).delay("a", 0.0) == 5.0


@pytest.mark.parametrize("extra", [10])
def test_memory_is_bounded(extra: int) -> None:
    doors = Admission(Limits(wrong_tokens=1))
    for n in range(REMEMBERED + extra):
        doors.wrong_token(str(n), 0.0)
    assert f"wrong={REMEMBERED}" in repr(doors)
    assert doors.delay("0", 1.0) == 0.0
    assert doors.delay(str(REMEMBERED), 1.0) == 5.0
