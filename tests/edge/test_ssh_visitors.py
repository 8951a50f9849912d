"""The visitors of one SSH client: how many, through how wide a window, and their end."""

import asyncio
from typing import Any, cast

import pytest
from asyncssh import ChannelOpenError
from tests.kit.pipes import Bell, Recorder
from tests.kit.ssh import no_wire

from portway.edge.ssh_visitors import NARROW, WIDE, WINDOW, Visitors
from portway.errors import StreamLimit
from portway.net.tasks import Tasks

DOOR = ("localhost", 20000)


class Client:
    """A client's connection, which notes the channels that it is asked for and refuses them if told to."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.refuse = refuse
        self.asked: list[tuple[Any, ...]] = []
        self.served = asyncio.Event()

    async def create_connection(self, factory: Any, *where: Any, window: int) -> None:
        self.asked.append((*where, window))
        if len(self.asked) == WIDE + 2:
            self.served.set()
        if self.refuse:
            raise ChannelOpenError(2, "connect failed")


def visitors(tasks: Tasks, most: int) -> tuple[Visitors, list[int]]:
    changes: list[int] = []
    made = Visitors(cast("Any", no_wire()), most, tasks, lambda: changes.append(len(made)))
    return made, changes


async def test_the_first_have_a_wide_window_and_there_are_only_so_many() -> None:
    async with Tasks() as tasks:
        made, changes = visitors(tasks, WIDE + 2)
        client = Client()
        for _ in range(WIDE + 2):
            made.open(cast("Any", client), DOOR, "192.0.2.7:4711", Recorder(Bell()), b"")
        with pytest.raises(StreamLimit):
            made.open(cast("Any", client), DOOR, "192.0.2.7:4711", Recorder(Bell()), b"")
        assert repr(made) == f"<Visitors {WIDE + 2}>"
        async with asyncio.timeout(10):
            await client.served.wait()
    assert changes == list(range(1, WIDE + 3))
    assert client.asked[0] == ("localhost", 20000, "192.0.2.7", 4711, WINDOW)
    assert [each[-1] for each in client.asked].count(NARROW) == 2


async def test_a_drain_waits_for_the_last_one_and_lets_nobody_in() -> None:
    async with Tasks() as tasks:
        made, changes = visitors(tasks, 9)
        client, sink = Client(refuse=True), Recorder(bell := Bell())
        made.open(cast("Any", client), DOOR, "192.0.2.7:4711", sink, b"")
        draining = asyncio.ensure_future(made.drain(20.0))
        await bell.until(lambda: bool(sink.resets))
        await draining
        assert (len(made), changes) == (0, [1, 0])
        with pytest.raises(StreamLimit):
            made.open(cast("Any", client), DOOR, "192.0.2.7:4711", sink, b"")


async def test_a_drain_has_its_time() -> None:
    async with Tasks() as tasks:
        made, _ = visitors(tasks, 9)
        made.open(cast("Any", Client()), DOOR, "192.0.2.7:4711", Recorder(Bell()), b"")
        await made.drain(0.0)
        assert repr(made) == "<Visitors 1 draining>"
