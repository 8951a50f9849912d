"""Requests that come while the policy of a cloud endpoint is compiled."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from tests.edge.test_cloud import at, item, seen
from tests.kit.eventually import eventually_async
from tests.kit.service import Running, running_worker

from portway.edge import preparing
from portway.edge.policy import Policies
from portway.edge.preparing import Preparing

REFUSES = "on_http_request: [{actions: [{type: deny, config: {status_code: 410}}]}]"
KEEPS_OUT = "on_tcp_connect: [{actions: [{type: deny}]}]\n" + REFUSES


@dataclass
class Slow:
    """A worker whose policies are compiled when a test says so."""

    service: Running
    may: asyncio.Event

    async def waiting(self, count: int = 1) -> None:
        found = at(self.service, item(self.service).url)
        assert found is not None

        async def held() -> bool:
            return repr(found.policy) == f"<Preparing held={count}>"

        await eventually_async(held, f"{count} wait")


@pytest.fixture
async def slow(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Slow]:
    async with running_worker() as service:
        may = asyncio.Event()
        compiled: Any = Policies.compile

        async def compile_later(policies: Policies, *args: Any, **more: Any) -> Any:
            await may.wait()
            return await compiled(policies, *args, **more)

        monkeypatch.setattr(Policies, "compile", compile_later)
        yield Slow(service, may)
        may.set()


async def test_requests_wait_for_the_first_policy(slow: Slow) -> None:
    slow.service.control.view.apply([item(slow.service, traffic_policy=REFUSES)])
    visits = [asyncio.ensure_future(seen(slow.service)) for _ in range(2)]
    await slow.waiting(2)
    slow.may.set()
    assert await asyncio.gather(*visits) == [(410, "")] * 2


async def test_who_waits_is_not_let_past_the_rules_of_connections(slow: Slow) -> None:
    slow.service.control.view.apply([item(slow.service, traffic_policy=KEEPS_OUT)])
    visit = asyncio.ensure_future(seen(slow.service))
    await slow.waiting()
    slow.may.set()
    with pytest.raises((ConnectionError, EOFError, asyncio.IncompleteReadError, AssertionError)):
        await visit


async def test_an_endpoint_that_goes_meanwhile_lets_them_go(slow: Slow) -> None:
    slow.service.control.view.apply([item(slow.service, traffic_policy=REFUSES)])
    visit = asyncio.ensure_future(seen(slow.service))
    await slow.waiting()
    slow.service.control.view.apply([item(slow.service, gone=True)])
    assert (await visit)[0] == 404


async def test_nobody_waits_for_ever(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "PATIENCE", 0.01)
    slow.service.control.view.apply([item(slow.service, traffic_policy=REFUSES)])
    assert await seen(slow.service) == (500, "ERR_NGROK_6029")


@pytest.mark.parametrize("admits", [True, False])
async def test_requests_of_one_connection_are_admitted_together(
    monkeypatch: pytest.MonkeyPatch, admits: bool
) -> None:
    """As those of HTTP/2, whose connection is judged once."""
    done: list[str] = []
    endpoint = SimpleNamespace(gates=())

    def enter(facts: Any, *_: object) -> bool:
        facts.gate = object()
        done.append("asked")
        return admits

    def judge(_: object) -> None:
        done.append("judged")

    def passage(facts: Any, *, over: bool = False) -> Any:
        edge = SimpleNamespace(config=SimpleNamespace(region="eu"))
        return SimpleNamespace(
            endpoint=endpoint,
            over=over,
            upstreams=SimpleNamespace(facts=facts, edge=edge),
            judge=judge,
            cut=lambda: done.append("cut"),
        )

    monkeypatch.setattr(preparing, "admitted", enter)
    facts = SimpleNamespace(gate=None, tls=None)
    stands = Preparing()
    for each in (passage(facts), passage(facts), passage(facts, over=True)):
        stands.begin(each)
    endpoint.gates = (object(),)
    stands.ready()
    assert done == ["asked", *(["judged" if admits else "cut"] * 2)]


async def test_who_leaves_is_forgotten() -> None:
    passage: Any = SimpleNamespace(endpoint=None)
    stands = Preparing()
    held = stands.begin(passage)
    assert repr(stands) == "<Preparing held=1>"
    held.on_over()
    held.on_over()
    stands.ready()
    assert repr(stands) == "<Preparing held=0>"
