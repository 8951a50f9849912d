"""All destinations together, over a real store."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.kit.eventually import eventually_async
from tests.kit.names import refused
from tests.kit.receivers import AWAY, Answer, Carried, Printed, Receiver, Slept
from tests.kit.store import POSTGRESQL, back_end, opened, place

from portway.control.certificates.seal import Seal
from portway.control.events.courier import AUDIT_AGE, LEASE, Courier
from portway.control.events.senders import Tools
from portway.control.ports import Delivered
from portway.control.service import accounts, credentials, event_destinations, event_subscriptions
from portway.control.service.context import Context
from portway.control.service.keys import Texts
from portway.control.store import audit_events
from portway.control.store.database import open_database
from portway.control.store.rows import Page
from portway.model.event import AgentSessionStarted, TcpConnectionClosed
from portway.model.event_target import Target
from portway.model.event_types import SESSION_START, TCP
from portway.model.events import EventSource
from portway.net.tasks import Tasks

AUDIT = "tunnel_credential_created.v0"
HOOK = {"webhook": {"url": "http://a.example", "batch_seconds": 0}}


def _closed(account: str, number: int = 0) -> TcpConnectionClosed:
    return TcpConnectionClosed(
        account_id=account, client_ip="192.0.2.1", start_ts=1.8e9, end_ts=1.8e9 + 1, bytes_in=number
    )


async def eventually(look: Callable[[], object], what: str) -> None:
    """Wait until something is true."""

    async def looked() -> object:
        return look()

    await eventually_async(looked, what, timeout=30)


@asynccontextmanager
async def running(
    context: Context, receiver: Receiver, clock: Slept, holder: str = "", spool: Path | None = None
) -> AsyncGenerator[Courier]:
    """Run a courier of this store."""
    tools = Tools(receiver, Printed(), Path("unused"), clock.now, Carried())
    courier = Courier(context, tools, clock.time, holder, spool)
    async with Tasks() as tasks:
        task = tasks.start(courier.run(), name="courier")
        await courier.look()
        try:
            yield courier
        finally:
            task.cancel()


@asynccontextmanager
async def subscribed(folder: Path, *types: str) -> AsyncGenerator[tuple[Context, str, str]]:
    """Open a store with an account that subscribes to these types; give it, and account and destination."""
    async with opened(folder) as plain:
        context = replace(plain, seal=Seal(folder / "key"))
        account = (await accounts.add(context, "ann")).id
        to = (await event_destinations.create(context, account, HOOK)).id
        sources = [EventSource(each) for each in types]
        await event_subscriptions.create(context, account, sources, [to])
        yield context, account, to


@pytest.mark.row("EV-13")
async def test_audit_events_that_were_not_delivered_survive(tmp_path: Path) -> None:
    async with subscribed(tmp_path, AUDIT) as (context, account, to):
        away = Receiver(plan=[AWAY] * 10_000)
        made = await credentials.create(context, account, Texts())
        async with running(context, away, Slept()) as courier:
            await eventually(lambda: courier.state(to, "").last_error, "the receiver is away")
        receiver = Receiver()
        async with running(context, receiver, Slept()) as courier:
            await eventually(lambda: receiver.got, "the event arrives")
            await courier.flush()
            ((event,),) = receiver.bodies
            assert event["object"]["id"] == made.value.id
            assert courier.state(to, "").delivered == 1
        async with context.database.read() as connection:
            assert await audit_events.behind(connection) == {}


@pytest.mark.row("EV-12")
async def test_a_stuck_receiver_holds_nobody_else_up(tmp_path: Path) -> None:
    async with subscribed(tmp_path, TCP) as (context, account, stuck):
        receiver = Receiver()
        free = (await event_destinations.create(context, account, {"stdout": {}})).id
        await event_subscriptions.create(context, account, [EventSource(TCP)], [free])
        receiver.stuck = asyncio.Event()
        async with running(context, receiver, Slept()) as courier:
            await courier.take(_closed(account, number) for number in range(12_000))
            await eventually(lambda: courier.state(free, "").delivered >= 10_000, "the other one has them")
            held = courier.state(stuck, "")
            assert (held.delivered, held.dropped, held.waiting) == (0, 2000, 10_000)
            receiver.stuck.set()
            await eventually(lambda: courier.state(stuck, "").waiting == 0, "the rest arrives")
            assert courier.state(stuck, "").delivered >= 10_000 - 500


async def test_changes_of_subscriptions_hold_at_once(tmp_path: Path) -> None:
    async with subscribed(tmp_path) as (context, account, to):
        receiver = Receiver()
        async with running(context, receiver, Slept()) as courier:
            await courier.take([_closed(account)])
            (own,) = await event_subscriptions.listed(context, account, Page())
            await event_subscriptions.add_source(context, account, own.id, EventSource(TCP))
            await courier.look()
            await courier.take([_closed(account, 7), _closed("ac_other")])
            await eventually(lambda: receiver.got, "the event arrives")
            other = {"webhook": {"url": "http://b.example", "batch_seconds": 0}}
            await event_destinations.update(context, account, to, target=other)
            await courier.look()
            await courier.take([_closed(account, 8)])
            await eventually(lambda: len(receiver.got) == 2, "the next one too")
            await event_subscriptions.delete(context, account, own.id)
            await event_destinations.delete(context, account, to)
            await courier.look()
            assert courier.states() == {}
        assert [url for url, _, _ in receiver.got] == ["http://a.example", "http://b.example"]
        events = [each for batch in receiver.bodies for each in batch]
        assert [each["object"]["conn"]["bytes_in"] for each in events] == [7, 8]
        assert all(each["principal"] is None and each["event_type"] == TCP for each in events)


@pytest.mark.row("EV-09")
async def test_sessions_are_journalled(tmp_path: Path) -> None:
    async with subscribed(tmp_path, SESSION_START) as (context, account, _):
        receiver = Receiver()
        async with running(context, receiver, Slept()) as courier:
            started = AgentSessionStarted(
                account_id=account, agent_ip="192.0.2.1", started_at=1.8e9, error="no"
            )
            await courier.take_session(started, "ev_1")
            await courier.take_session(started, "ev_1")
            await eventually(lambda: receiver.got, "the event arrives")
            await courier.flush()
        assert receiver.ids == ["ev_1"]
        assert receiver.bodies[0][0]["object"]["error"] == "no"


@pytest.mark.row("EV-09")
async def test_agents_that_nobody_knows_are_told_of_to_an_only_account(tmp_path: Path) -> None:
    async with subscribed(tmp_path, SESSION_START) as (context, account, _):
        receiver = Receiver()
        async with running(context, receiver, Slept()) as courier:
            refused = AgentSessionStarted(agent_ip="192.0.2.1", started_at=1.8e9, error="unknown token")
            await courier.take_session(refused, "ev_1")
            await accounts.add(context, "bob")
            await courier.take_session(refused, "ev_2")
            await eventually(lambda: receiver.got, "the event arrives")
            await courier.flush()
        assert receiver.ids == ["ev_1"]
        assert receiver.bodies[0][0]["account_id"] == account
        assert receiver.bodies[0][0]["object"]["error"] == "unknown token"


async def test_what_is_too_old_is_given_up_and_counted(tmp_path: Path) -> None:
    async with subscribed(tmp_path, AUDIT) as (context, account, to):
        await credentials.create(context, account, Texts())
        clock = Slept(at=context.now() + AUDIT_AGE + 1)
        async with running(context, Receiver(plan=[AWAY] * 10_000), clock) as courier:
            await eventually(lambda: courier.state(to, "").dropped == 1, "it is given up")


@pytest.mark.row("EV-15")
async def test_a_test_event_arrives_or_its_error_is_told(tmp_path: Path) -> None:
    async with subscribed(tmp_path) as (context, account, to):
        receiver = Receiver()
        async with running(context, receiver, Slept()) as courier:
            target: dict[str, Any] = {"url": "http://a.example"}
            event_id = await courier.test(account, to, Target("webhook", target))
            assert receiver.ids == [event_id]
            receiver.plan = [Answer(403, b"Forbidden")]
            with refused(5132):
                await courier.test(account, to, Target("datadog", {}, {"api_key": "k"}))
            with refused(5132):
                await courier.test(account, to, Target("firehose"))
        assert json.loads(receiver.got[0][2])[0]["event_type"] == "test_event.v0"


@asynccontextmanager
async def shared(folder: Path) -> AsyncGenerator[tuple[Context, Context, str]]:
    """Open a store on a server twice, as two services do; give both, and the account that subscribes."""
    with back_end(POSTGRESQL):
        async with subscribed(folder, AUDIT) as (context, account, _), open_database(place(folder)) as other:
            yield context, replace(context, database=other), account


async def test_two_services_on_one_store_send_each_event_once(tmp_path: Path) -> None:
    async with shared(tmp_path) as (context, twin, account):
        receiver, clock = Receiver(), Slept()
        async with running(context, receiver, clock, "a") as one, running(twin, receiver, clock, "b") as two:
            made: list[str] = []
            for number in range(8):
                each = (context, twin)[number % 2]
                made.append((await credentials.create(each, account, Texts())).value.id)
                await asyncio.gather(one.look(), two.look())
            await eventually(lambda: len(receiver.ids) >= len(made), "all arrive")
            await asyncio.gather(one.flush(), two.flush())
        assert sorted(each["object"]["id"] for batch in receiver.bodies for each in batch) == sorted(made)
        async with context.database.read() as connection:
            assert await audit_events.behind(connection) == {}


async def test_another_service_goes_on_where_one_stopped(tmp_path: Path) -> None:
    async with shared(tmp_path) as (context, twin, account):
        hung, receiver, clock = Receiver(stuck=asyncio.Event()), Receiver(), Slept()
        async with running(context, hung, clock, "a") as one:
            made = await credentials.create(context, account, Texts())
            await one.look()
            await eventually(lambda: hung.asked, "the first one tries")
            async with running(twin, receiver, clock, "b") as two:
                clock.at += LEASE - 1
                await one.look()  # which renews
                clock.at += LEASE - 1
                await two.look()
                assert (receiver.got, two.states().popitem()[1].waiting) == ([], 1)
                clock.at += 3  # the first one does not look any more
                await two.look()
                await eventually(lambda: receiver.got, "the second one sends")
            assert receiver.bodies[0][0]["object"]["id"] == made.value.id


@asynccontextmanager
async def durable(folder: Path) -> AsyncGenerator[tuple[Context, str, str, str]]:
    """Open a store with two destinations of one subscription; give account, the durable one and the other."""
    async with subscribed(folder, TCP) as (context, account, plain):
        kept = (await event_destinations.create(context, account, HOOK, durable=True)).id
        await event_subscriptions.create(context, account, [EventSource(TCP)], [kept])
        yield context, account, kept, plain


async def test_what_a_durable_destination_is_sent_survives_a_kill(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    async with durable(tmp_path) as (context, account, kept, plain):
        away = Receiver(plan=[AWAY] * 10_000)
        async with running(context, away, Slept(), spool=spool) as courier:
            await courier.take(_closed(account, number) for number in range(3))
            assert courier.state(kept, "").waiting == 3
        receiver = Receiver()
        async with running(context, receiver, Slept(), spool=spool) as courier:
            await eventually(lambda: courier.state(kept, "").delivered == 3, "the events arrive")
            assert courier.state(plain, "") == Delivered()
            await courier.take([_closed(account, 3)])
            await eventually(lambda: len(receiver.ids) == 5, "the next one goes to both")
            await courier.flush()
        async with running(context, receiver, Slept(), spool=spool) as courier:
            assert (courier.state(kept, "").delivered, courier.state(plain, "").delivered) == (4, 1)
            assert courier.states()[kept].delivered == 0, "rates are drawn of what one process has counted"
            (one, other) = await event_subscriptions.listed(context, account, Page())
            for each in (one, other):
                await event_subscriptions.delete(context, account, each.id)
            await event_destinations.delete(context, account, kept)
            await courier.look()
            assert [each.name for each in spool.iterdir()] == ["counts.json"]
    assert [event["object"]["conn"]["bytes_in"] for batch in receiver.bodies for event in batch][:3] == [
        0,
        1,
        2,
    ]


async def test_a_batch_that_comes_again_goes_to_durable_destinations_alone(tmp_path: Path) -> None:
    async with durable(tmp_path) as (context, account, kept, plain):
        batch = [_closed(account, number) for number in range(2)]
        first, second = Receiver(), Receiver()
        async with running(context, first, Slept(), spool=tmp_path / "spool") as courier:
            await courier.take(batch, b"name")
            await courier.take(batch, b"name", again=True)
            await courier.flush()
            assert [courier.state(each, "").delivered for each in (kept, plain)] == [2, 2]
        async with running(context, second, Slept(), spool=tmp_path / "spool") as courier:
            await courier.take(batch, b"name", again=True)  # this controller cannot know whether it was taken
            await courier.flush()
            assert courier.state(plain, "").dropped == 2
        assert sorted(second.ids) == sorted(set(first.ids)), "under the same identifiers"


async def test_a_disk_that_takes_nothing_leaves_events_in_memory(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder")
    async with durable(tmp_path) as (context, account, kept, _):
        receiver = Receiver()
        async with running(context, receiver, Slept(), spool=tmp_path / "spool") as courier:
            await courier.take([_closed(account)])
            await eventually(lambda: courier.state(kept, "").delivered == 1, "it arrives all the same")


async def test_what_waits_goes_where_a_changed_destination_points(tmp_path: Path) -> None:
    async with subscribed(tmp_path, TCP) as (context, account, to):
        receiver = Receiver(plan=[AWAY] * 10_000)
        clock = Slept()
        async with running(context, receiver, clock, spool=tmp_path / "spool") as courier:
            receiver.stuck = asyncio.Event()
            await courier.take([_closed(account, number) for number in range(3)])
            await eventually(lambda: receiver.asked, "the receiver is asked")
            before = courier.state(to, "")
            other = {"webhook": {"url": "http://b.example", "batch_seconds": 0}}
            await event_destinations.update(context, account, to, target=other, durable=True)
            receiver.plan.clear()
            await courier.look()
            receiver.stuck.set()
            await eventually(lambda: courier.state(to, "").delivered == 3, "they arrive")
            assert (before.waiting, courier.state(to, "").dropped) == (3, 0)
        assert {url for url, _, _ in receiver.got} == {"http://b.example"}
