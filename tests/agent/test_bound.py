"""An endpoint seen from inside."""

import asyncio
import logging
from dataclasses import replace

import pytest
from tests.kit.tape import Tape

from portway import Agent, Error
from portway.agent.bound import Bound
from portway.agent.emitter import Emitter
from portway.agent.options import endpoint_options
from portway.wire.messages import Bind, BindResp, BindRespExtra, Patch, ProxyHeader

HEADER = ProxyHeader("ep_1", "1.2.3.4:5", "tcp", "0", False)


async def _unbind(bound: Bound) -> None:
    pass


async def _patch(bound: Bound, change: Patch) -> None:
    if change.name == "refused":
        raise Error("no", 9026)


def bound_of(**answer: object) -> Bound:
    options = endpoint_options("tcp://", metadata="m")
    agent = Agent()
    given = {"id": "ep_1", "url": "tcp://h:1", "proto": "tcp", "extra": BindRespExtra(token="proof")}
    return Bound(
        agent=agent,
        emitter=Emitter(agent, [], logging.getLogger("test")),
        options=options,
        request=options.bind("app://x"),
        answer=BindResp(**(given | answer)),  # pyright: ignore[reportArgumentType]
        session_id="ts_1",
        with_portway=True,
        unbind=_unbind,
        patch=_patch,
        start=asyncio.ensure_future,
    )


def again(bound: Bound) -> Bind:
    """Return the request that binds it again: one by URL, as it has no labels."""
    rebind = bound.rebind()
    assert isinstance(rebind, Bind)
    return rebind


@pytest.mark.row("A9")
async def test_a_rebind_repeats_the_first_answer() -> None:
    rebind = again(bound_of(opts={"URL": "tcp://h:1", "Addr": "h:1"}))
    assert (rebind.id, rebind.proto, rebind.extra.token) == ("ep_1", "tcp", "proof")
    assert rebind.opts == {"URL": "tcp://h:1", "Addr": "h:1"}
    assert rebind.extra.metadata == "m"
    assert rebind.forwards_to == "app://x"


@pytest.mark.row("A5")
async def test_an_answer_without_options_repeats_what_was_asked() -> None:
    assert again(bound_of(opts={})).opts["URL"] == "tcp://"


async def test_it_ends_once() -> None:
    bound, told = bound_of(), list[str]()
    bound.serve(lambda header, pipe: Tape(), lambda: told.append("over"))
    assert bound.take(HEADER, Tape()) is not None
    why = ValueError("why")
    bound.finish(why)
    bound.finish(None)
    assert bound.error is why
    assert told == ["over"]
    assert bound.take(HEADER, Tape()) is None


@pytest.mark.row("A9")
async def test_a_rebind_says_what_was_changed() -> None:
    bound = bound_of(opts={"URL": "tcp://h:1", "Addr": "h:1", "TrafficPolicy": "old"})
    options = replace(bound.options, name="n", traffic_policy="new", pooling_enabled=True)
    await bound.change(options, Patch(name="n"))
    rebind = again(bound)
    assert rebind.opts == {"URL": "tcp://h:1", "Addr": "h:1", "TrafficPolicy": "new"}
    assert (rebind.extra.name, rebind.extra.metadata, rebind.extra.pooling_enabled) == ("n", "m", True)
    assert rebind.extra.token == "proof"
    with pytest.raises(Error):
        await bound.change(replace(options, name="refused"), Patch(name="refused"))
    assert bound.options is options
    assert bound.rebind() == rebind
