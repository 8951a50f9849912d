"""What is counted, kept and summed up; that visitors' connections count is shown through the whole edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from tests.kit.http2_client import certs2, visit2
from tests.kit.http_edge import stand
from tests.kit.http_policy import HandPolicy
from tests.kit.pipes import spin_until
from tests.kit.service import running_worker
from tests.kit.traffic import a_hello, visitor

from portway.edge.counters import Counted, Counters, Ledger, snapshot
from portway.edge.pool import Pool
from portway.edge.registry import Endpoint, Registry
from portway.model.url import Url
from portway.net.leg import reset
from portway.session import StreamType


def busy(n: int) -> Counters:
    """Return counters of so many requests, all answered."""
    counters = Counters()
    for _ in range(n):
        counters.requests += 1
        counters.answered(200, 1, 10)
    return counters


def online(registry: Registry, host: str, account_id: str = "ac_1") -> Endpoint:
    made = Endpoint("ep_1", Url("http", host, 80), "http", account_id, Pool(lambda n: n - 1))
    registry.add(made)
    return made


def test_a_request_is_under_way_until_it_is_answered() -> None:
    counters = Counters()
    counters.requests += 2
    assert counters.counted() == Counted(open=2, requests=2)
    counters.answered(404, 3, 40)
    counters.answered(0, 5, 0)
    assert counters.counted() == Counted(0, 0, 2, 8, 40, (1, 0, 0, 0, 1) + (0,) * 5)
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
    assert ledger.offline() == {"tcp": Counted(open=1), "http": Counted(0, 0, 3, 3, 30, (0, 0, 3) + (0,) * 7)}
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


# -- what visitors add


async def test_requests_count_with_their_endpoint_and_their_member() -> None:
    async with stand() as made:
        endpoint, member = made.endpoint.counters, made.agent.counters
        client = await made.visit()
        client.send("POST / HTTP/1.1", "Content-Length: 3", body=b"abc")
        stream = await made.agent.stream()
        await stream.until(b"abc")
        assert (endpoint.under_way, member.under_way, endpoint.requests) == (1, 1, 1)
        stream.ok(b"hello")
        await client.answer()
        client.get()
        await stream.until(b"GET")
        stream.pipe.end()  # over a stream that was used before: it is sent once more
        again = await made.agent.stream(1)
        await again.heads()
        again.pipe.end()
        status, _, body = await client.answer()
        assert status == 502
        client.get()
        await (await made.agent.stream(2)).heads()
        reset(client.transport)
        await made.until(lambda: endpoint.under_way == 0)
        pages = len(body)
        assert endpoint.counted() == Counted(1, 0, 3, 3, 5 + pages, (1, 0, 1, 0, 0, 1) + (0,) * 4)
        assert member.counted() == Counted(0, 0, 4, 3, 5 + pages, (2, 0, 1, 0, 0, 1) + (0,) * 4)


async def test_what_no_member_takes_counts_with_the_endpoint_alone() -> None:
    async with stand() as made:
        made.agent.full = True
        client = await made.visit()
        client.get()
        status, _, body = await client.answer()
        assert (status, made.endpoint.counters.answers[5]) == (502, 1)
        assert made.endpoint.counters.bytes_out == len(body) > 0
        assert made.agent.counters.counted() == Counted()


async def test_an_upgraded_request_is_under_way_until_both_ends_have_ended() -> None:
    async with stand() as made:
        client = await made.visit()
        client.get("/", "Connection: Upgrade", "Upgrade: websocket")
        stream = await made.agent.stream()
        await stream.heads()
        stream.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await client.head()
        client.writer.write(b"ping")
        await stream.until(b"ping")
        assert made.endpoint.counters.under_way == made.agent.counters.under_way == 1
        client.writer.write_eof()
        stream.say(b"pong")
        stream.pipe.end()
        assert await client.rest() == b"pong"
        await made.until(lambda: made.endpoint.counters.under_way == 0)
        assert made.agent.counters.answers[1] == 1


async def test_requests_over_http_2_count_alike() -> None:
    async with stand(certs=certs2()) as made:
        client = await visit2(made)
        answered, given_up = client.ask("/1"), client.ask("/2")
        for number in (0, 1):
            stream = await made.agent.stream(number)
            if b"/1 " in await stream.heads():
                stream.ok()
        await client.answer(answered)
        assert (made.endpoint.counters.under_way, made.agent.counters.under_way) == (1, 1)
        client.conn.reset_stream(given_up, 8)
        client.flush()
        await made.until(lambda: made.endpoint.counters.under_way == 0)
        answers = (1, 0, 1) + (0,) * 7
        assert made.endpoint.counters.counted() == Counted(1, 0, 2, 0, 5, answers)
        assert made.agent.counters.counted() == Counted(0, 0, 2, 0, 5, answers)


async def test_a_request_that_a_policy_forwards_counts_with_both_endpoints() -> None:
    async with stand() as made, stand() as other:
        inner = other.endpoint
        made.endpoint.policy = HandPolicy(lambda passage: passage.forward(inner))
        client = await made.visit()
        client.get()
        stream = await other.agent.stream()
        await stream.heads()
        assert [each.counters.under_way for each in (made.endpoint, inner, other.agent)] == [1, 1, 1]
        stream.ok()
        await client.answer()
        for each in (made.endpoint.counters, inner.counters, other.agent.counters):
            assert (each.requests, each.under_way, each.answers[2], each.bytes_out) == (1, 0, 1, 5)
        assert made.agent.counters.counted() == Counted()


@pytest.mark.parametrize("proto", ["tcp", "tls"])
async def test_connections_count_until_they_are_closed(proto: str) -> None:
    async with running_worker() as service, service.connected() as agent:
        bound = await agent.bind(proto)
        [endpoint] = service.worker.registry.all()
        [member] = endpoint.pool.members
        door = endpoint.url.port if proto == "tcp" else service.https_port
        first = a_hello(endpoint.url.host) if proto == "tls" else b"hello"
        async with visitor(door) as (reader, writer):
            writer.write(first)
            taken = await agent.visitor()
            assert await taken.read(len(first)) == first
            assert (endpoint.counters.connections, endpoint.counters.open) == (1, 1)
            assert (member.counters.connections, member.counters.open) == (1, 1)
            taken.finish(b"welcome")
            writer.write_eof()
            assert await reader.read() == b"welcome"
        await spin_until(lambda: endpoint.counters.open == 0)
        counted = Counted(connections=1, bytes_in=len(first), bytes_out=7)
        assert (endpoint.counters.counted(), member.counters.counted()) == (counted, counted)
        await agent.call(StreamType.UNBIND, {"Id": bound["Id"]})
        assert snapshot(service.worker.registry).total(proto) == counted


async def test_a_reconnect_goes_on_counting() -> None:
    async with running_worker() as service:
        agent = service.agent()
        await agent.connect()
        await agent.auth()
        bound = await agent.bind("http")
        [endpoint] = service.worker.registry.all()
        endpoint.counters.add(busy(2))
        endpoint.pool.members[0].counters.add(busy(1))
        await agent.vanish()
        await service.offline()
        await agent.reconnect()
        await agent.rebind("http", bound)
        [taken] = snapshot(service.worker.registry).endpoints
        assert (taken.id, taken.counted.requests, taken.members[bound["Id"]].requests) == (bound["Id"], 2, 1)
        await agent.leave()
