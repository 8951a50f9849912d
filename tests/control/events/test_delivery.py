"""One destination: batches, tries, what is counted."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.receivers import AWAY, Answer, Receiver, Slept, item

from portway.control.events.delivery import LAST_PAUSE, Delivery
from portway.control.events.outbox import Item
from portway.control.events.spool import Spool
from portway.control.events.webhook import Webhook
from portway.errors import Error
from portway.net.tasks import Tasks


class Journal:
    """Audit events in memory. ``broken``: the store is away."""

    def __init__(self, *items: Item) -> None:
        self.left = list(items)
        self.broken = False

    async def waiting(self, after: int, limit: int) -> list[Item]:
        if self.broken:
            raise Error("away")
        return [each for each in self.left if each.seq > after][:limit]

    async def arrived(self, seqs: Sequence[int]) -> None:
        if self.broken:
            raise Error("away")
        self.left = [each for each in self.left if each.seq not in seqs]


@asynccontextmanager
async def working(
    receiver: Receiver,
    clock: Slept,
    journal: Journal | None = None,
    spool: Spool | None = None,
    **settings: object,
) -> AsyncGenerator[Delivery]:
    """Run a delivery that posts to a receiver."""
    sender = Webhook({"url": "http://example.com", **settings}, receiver, clock.now)
    delivery = Delivery("ed_1", sender, journal or Journal(), clock.time, spool=spool)
    async with Tasks() as tasks:
        running = tasks.start(delivery.run(), name="delivery")
        try:
            yield delivery
        finally:
            running.cancel()


async def _settled(delivery: Delivery) -> None:
    async with asyncio.timeout(30):
        await delivery.settled()


async def test_events_go_in_batches_in_their_order() -> None:
    receiver, clock = Receiver(), Slept()
    async with working(receiver, clock, batch_size=4) as delivery:
        for number in range(10):
            delivery.put(item(number))
        await _settled(delivery)
        assert receiver.ids == [f"ev_{number}" for number in range(10)]
        assert [len(batch) for batch in receiver.bodies] == [4, 4, 2]
        assert clock.pauses == [1.0], "only a batch that is not full waits for more"
        assert (delivery.state.delivered, delivery.state.waiting) == (10, 0)


@pytest.mark.row("EV-12")
async def test_a_receiver_that_is_away_gets_everything_later_and_once() -> None:
    journal = Journal(*(item(number, seq=number) for number in range(1, 4)))
    receiver, clock = Receiver(plan=[AWAY] * 6), Slept()
    async with working(receiver, clock, journal) as delivery:
        delivery.put(item(9))
        await _settled(delivery)
        assert receiver.ids == ["ev_1", "ev_2", "ev_3", "ev_9"]
        assert journal.left == []
        assert (delivery.state.delivered, delivery.state.last_error, delivery.failing) == (4, "", False)
        waits = [pause for pause in clock.pauses if pause != 1.0 or pause == 0.75]
        assert waits == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0], "doubled each time, with jitter"


@pytest.mark.row("EV-12")
async def test_after_long_traffic_is_given_up_and_audit_is_not() -> None:
    journal = Journal(item(1, seq=1))
    receiver, clock = Receiver(plan=[AWAY] * 15), Slept()
    async with working(receiver, clock, journal) as delivery:
        delivery.put(item(9))
        await _settled(delivery)
        assert receiver.ids == ["ev_1"]
        assert (delivery.state.delivered, delivery.state.dropped) == (1, 1)
        assert max(clock.pauses) <= LAST_PAUSE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 301])
async def test_what_is_refused_for_good_is_not_tried_again(status: int) -> None:
    journal = Journal(item(1, seq=1))
    receiver, clock = Receiver(plan=[Answer(status, b"no \x1b way")]), Slept()
    async with working(receiver, clock, journal) as delivery:
        await _poke(delivery)
        assert receiver.got == []
        assert journal.left == []
        state = delivery.state
        assert (state.failed, state.delivered, state.waiting) == (1, 0, 0)
        assert state.last_error == f"The receiver answered {status}: no   way"
        delivery.put(item(2))
        await _settled(delivery)
        assert receiver.ids == ["ev_2"]
        assert delivery.state.last_error == ""


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    receiver, clock = Receiver(plan=[Answer(status)]), Slept()
    async with working(receiver, clock, Journal(item(1, seq=1))) as delivery:
        await _poke(delivery)
        assert receiver.ids == ["ev_1"]
        assert delivery.state.failed == 0


async def test_single_events_that_arrived_are_not_sent_again() -> None:
    journal = Journal(*(item(number, seq=number) for number in range(1, 5)))
    receiver = Receiver(plan=[Answer(), AWAY, Answer(), Answer(400), Answer()])
    async with working(receiver, Slept(), journal, body="single") as delivery:
        await _poke(delivery)
        assert [body["event_id"] for body in receiver.bodies] == ["ev_1", "ev_2", "ev_4"]
        assert (delivery.state.delivered, delivery.state.failed) == (3, 1)
        assert journal.left == []


async def test_a_store_that_is_away_holds_nothing_up() -> None:
    journal = Journal(item(1, seq=1))
    journal.broken = True
    receiver = Receiver()
    async with working(receiver, Slept(), journal) as delivery:
        delivery.put(item(2))
        await _settled(delivery)
        assert receiver.ids == ["ev_2"]
        journal.broken = False
        await _poke(delivery)
        assert receiver.ids == ["ev_2", "ev_1"]


async def _poke(delivery: Delivery) -> None:
    delivery.wake()
    await _settled(delivery)


async def test_what_is_spooled_goes_in_full_batches_without_a_wait_between(tmp_path: Path) -> None:
    receiver, clock = Receiver(), Slept()
    spool = Spool(tmp_path, clock.now)
    await spool.keep([item(number, size=400_000) for number in range(7)])
    async with working(receiver, clock, spool=spool) as delivery:
        delivery.wake()
        await _settled(delivery)
        assert receiver.ids == [f"ev_{number}" for number in range(7)]
        assert [len(batch) for batch in receiver.bodies] == [2, 2, 2, 1]
        assert clock.pauses == [1.0], "only the last batch waits for more"
        assert (delivery.state.delivered, delivery.state.waiting) == (7, 0)


async def test_what_is_spooled_while_a_batch_waits_goes_with_it(tmp_path: Path) -> None:
    receiver, clock = Receiver(), Slept()
    delivery_of: list[Delivery] = []
    turn = clock.sleep

    async def while_asleep(seconds: float) -> None:
        if not clock.pauses:
            await delivery_of[0].keep([item(2)])
        await turn(seconds)

    clock.sleep = while_asleep  # type: ignore[method-assign]
    async with working(receiver, clock, spool=Spool(tmp_path, clock.now)) as delivery:
        delivery_of.append(delivery)
        await delivery.keep([item(1)])
        await _settled(delivery)
    assert [len(batch) for batch in receiver.bodies] == [2]
