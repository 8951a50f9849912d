"""Events on their way from the data plane to the controller."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from portway.edge.view import View
from portway.edge.wishes import Wishes
from portway.errors import Error
from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    EndpointOffline,
    HttpRequestComplete,
    TcpConnectionClosed,
)
from portway.model.event_types import SESSION_START, SESSION_STOP, TCP
from portway.model.view import EventWishItem
from portway.net.tasks import Tasks
from portway.server import event_feed
from portway.server.channel import Channel, arguments
from portway.server.deliveries import Batch
from portway.server.event_feed import BATCH, EVENTS, STRANGERS, EventFeed, Told


class Sink:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def emit(self, event: object) -> None:
        self.told.append(event)


class Controller:
    """The other end. ``refusals``: how many batches it does not take."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.batches: list[Batch] = []

    async def handle(self, do: str, args: msgspec.Raw) -> object:
        assert do == EVENTS
        if self.refusals:
            self.refusals -= 1
            raise Error("busy")
        self.batches.append(arguments(args, Batch))
        return None

    @property
    def told(self) -> list[Told]:
        return [each for batch in self.batches for each in batch.sessions]

    @property
    def traffic(self) -> list[HttpRequestComplete | TcpConnectionClosed]:
        return [each for batch in self.batches for each in batch.traffic]


def _closed(number: int = 0, account: str = "ac_1") -> TcpConnectionClosed:
    return TcpConnectionClosed(account_id=account, client_ip="", start_ts=1.0, end_ts=2.0, bytes_in=number)


def _feed() -> EventFeed:
    view, wishes = View(), Wishes()
    view.apply([EventWishItem("esb_1", "ac_1", {TCP: False})])
    wishes.follow(view)
    feed = EventFeed(Sink())
    feed.follow(wishes)
    return feed


START = AgentSessionStarted(account_id="ac_1", agent_ip="192.0.2.1", started_at=1.0, error="no")
STOP = AgentSessionStopped(session_id="ts_1", account_id="ac_1", started_at=1.0, stopped_at=2.0)


@asynccontextmanager
async def told_to(feed: EventFeed, controller: Controller) -> AsyncGenerator[None]:
    """Tell a controller over a socket pair."""
    loop = asyncio.get_running_loop()
    ends = [Channel(_nothing, _no_note, _lost), Channel(controller.handle, _no_note, _lost, beside={EVENTS})]
    async with Tasks() as tasks:
        for each, sock in zip(ends, socket.socketpair(), strict=True):
            await loop.create_unix_connection(lambda each=each: each, sock=sock)
        task = tasks.start(feed.tell(ends[0]), name="tell")
        try:
            yield
        finally:
            task.cancel()
            for each in ends:
                await each.close()


async def _nothing(_do: str, _args: msgspec.Raw) -> object:
    raise Error("nothing to ask")


def _no_note(_do: str, _args: msgspec.Raw) -> None:
    raise AssertionError


def _lost() -> None:
    """The end of a test."""


async def test_only_what_is_wanted_goes_and_everything_is_logged() -> None:
    feed, controller = _feed(), Controller()
    async with told_to(feed, controller):
        for event in (
            _closed(1),
            _closed(2, "ac_2"),
            START,
            EndpointOffline(endpoint_id="ep", url="", offline_at=1.0),
        ):
            feed.emit(event)
        await feed.flush(30)
    assert [each.type for each in controller.told] == [SESSION_START]
    assert controller.traffic == [_closed(1)]
    assert feed.taken == 1
    assert len(feed._log.told) == 4  # type: ignore[attr-defined]


async def test_agents_that_nobody_knows_are_counted_and_told_of_within_bounds() -> None:
    feed, controller = _feed(), Controller()
    stranger = replace(START, account_id="", error_code="ERR_NGROK_107")
    for _ in range(STRANGERS + 5):
        feed.emit(stranger)
    feed.emit(START)
    async with told_to(feed, controller):
        await feed.flush(30)
    assert STRANGERS + 1 <= len(controller.told) <= 2 * STRANGERS  # the minute may just have ended
    assert feed.refused == {"ERR_NGROK_107": STRANGERS + 5, "": 1}


async def test_batches_are_bounded_and_in_order() -> None:
    feed, controller = _feed(), Controller()
    for number in range(2 * BATCH + 1):
        feed.emit(_closed(number))
    async with told_to(feed, controller):
        await feed.flush(30)
    assert [len(each.traffic) for each in controller.batches] == [BATCH, BATCH, 1]
    assert controller.traffic == [_closed(number) for number in range(2 * BATCH + 1)]


async def test_a_controller_that_is_away_costs_old_traffic_and_no_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_feed, "TRAFFIC_LIMIT", 3)
    monkeypatch.setattr(event_feed, "RETRY", 0.0)
    feed, controller = _feed(), Controller(refusals=1)
    feed.emit(START)
    for number in range(5):
        feed.emit(_closed(number))
    assert feed.dropped == 2
    async with told_to(feed, controller):
        await feed.flush(30)
    assert [each.type for each in controller.told] == [SESSION_START]
    assert controller.told[0].id.startswith("ev_")
    assert controller.traffic == [_closed(2), _closed(3), _closed(4)]
    assert feed.dropped == 2


async def test_a_batch_that_nobody_confirmed_goes_again_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "RETRY", 0.0)
    monkeypatch.setattr(event_feed, "TRIES", 3)
    feed, controller = _feed(), Controller(refusals=2)
    feed.emit(_closed(1))
    async with told_to(feed, controller):
        await feed.flush(30)
        feed.emit(_closed(2))
        await feed.flush(30)
        first, second = controller.batches
        assert [(each.again, each.traffic) for each in (first, second)] == [
            (True, [_closed(1)]),
            (False, [_closed(2)]),
        ]
        assert first.batch != second.batch
        controller.refusals = 3
        feed.emit(_closed(3))
        await feed.flush(30)
    assert feed.dropped == 1, "what is refused for ever is given up"


async def test_a_batch_on_its_way_to_a_controller_that_died_goes_to_the_next() -> None:
    feed, dying, next_one = _feed(), Controller(), Controller()
    arrived = asyncio.Event()

    async def handle(_do: str, args: msgspec.Raw) -> object:
        dying.batches.append(arguments(args, Batch))
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    dying.handle = handle  # type: ignore[method-assign]
    feed.emit(_closed(1))
    async with told_to(feed, dying), asyncio.timeout(30):
        await arrived.wait()
    async with told_to(feed, next_one):
        await feed.flush(30)
    (first,), (second,) = dying.batches, next_one.batches
    assert (second.batch, second.traffic, second.again) == (first.batch, first.traffic, True)
    assert feed.dropped == 0


async def test_ends_of_sessions_survive_the_end_of_the_service(tmp_path: Path) -> None:
    feed, path = _feed(), tmp_path / "pending"
    feed.load(path)
    feed.save(path)
    assert not path.exists()
    feed.emit(STOP)
    feed.save(path)
    again, controller = _feed(), Controller()
    again.load(path)
    assert not path.exists()
    async with told_to(again, controller):
        await again.flush(30)
    (told,) = controller.told
    assert told.type == SESSION_STOP
    assert msgspec.json.decode(told.event, type=AgentSessionStopped) == STOP
    path.write_text("nonsense")
    _feed().load(path)


async def test_observers_hear_of_everything() -> None:
    feed = _feed()
    heard: list[object] = []

    class Observer:
        def observe(self, event: object) -> None:
            heard.append(event)

    feed.observers.append(Observer())
    feed.emit(_closed(1, "ac_2"))
    feed.emit(START)
    assert len(heard) == 1
