"""What waits for one destination."""

import pytest
from tests.kit.receivers import item

from portway.control.events.outbox import TRAFFIC_AGE, Outbox

NOW = 1_800_000_000.0


def _ids(outbox: Outbox, **limits: int) -> list[str]:
    return [each.id for each in outbox.batch(NOW, **limits)]


@pytest.mark.row("EV-12")
def test_without_room_the_oldest_traffic_goes_and_is_counted() -> None:
    outbox = Outbox(count=3)
    outbox.put(item(1, seq=1))
    for number in range(2, 8):
        outbox.put(item(number))
    assert _ids(outbox) == ["ev_1", "ev_5", "ev_6", "ev_7"]
    assert (len(outbox), outbox.traffic, outbox.dropped) == (4, 3, 3)
    heavy = Outbox(size=1000)
    for number in range(5):
        heavy.put(item(number, size=400))
    assert _ids(heavy) == ["ev_3", "ev_4"]


def test_batches_are_bounded_in_number_and_in_bytes() -> None:
    outbox = Outbox()
    for number in range(5):
        outbox.put(item(number, size=100))
    assert len(outbox.batch(NOW, 3)) == 3
    assert len(outbox.batch(NOW, 500, 300)) == 2
    assert len(outbox.batch(NOW, 500, 10)) == 1


def test_what_was_sent_goes_and_what_came_meanwhile_stays() -> None:
    outbox = Outbox(count=2)
    outbox.put(item(1, seq=7))
    outbox.put(item(2))
    outbox.put(item(3))
    batch = outbox.batch(NOW)
    outbox.put(item(4))  # pushes ev_2 out while the batch is on its way
    outbox.done(batch)
    assert _ids(outbox) == ["ev_4"]
    assert outbox.has_kept is False


def test_old_traffic_is_given_up_and_audit_is_not() -> None:
    outbox = Outbox()
    outbox.put(item(1, seq=1, at=NOW - 1e6))
    outbox.put(item(2, at=NOW - TRAFFIC_AGE - 1))
    outbox.put(item(3, at=NOW - TRAFFIC_AGE + 1))
    assert _ids(outbox) == ["ev_1", "ev_3"]
    assert outbox.dropped == 1
    outbox.forget_kept()
    assert _ids(outbox) == ["ev_3"]
