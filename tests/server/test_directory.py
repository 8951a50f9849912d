"""What is online, from the edge's events to a controller that may be slow, away or new."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.kit.service import Events

from portway.control.live import LiveDirectory
from portway.errors import Error
from portway.model.event import (
    AgentSessionStarted,
    AgentSessionStopped,
    EndpointOffline,
    EndpointOnline,
    EndpointUpdated,
)
from portway.model.ids import new_id
from portway.model.live import LiveEndpoint, LiveNote, LiveSession
from portway.net.tasks import Tasks
from portway.server import directory as directories
from portway.server.channel import Channel
from portway.server.directory import Directory

PATIENCE = 10.0
ACCOUNT = "ac_1"
MADE = 1_700_000_000.0
EP = new_id("ep", lambda n: bytes(n), MADE)


def started(session: str = "ts_1", **changes: Any) -> AgentSessionStarted:
    said: dict[str, Any] = {
        "session_id": session,
        "account_id": ACCOUNT,
        "credential_id": "cr_1",
        "agent_ip": "203.0.113.9",
        "agent_version": "3.1",
        "started_at": 5.0,
    }
    return AgentSessionStarted(**(said | changes))


def stopped(session: str = "ts_1") -> AgentSessionStopped:
    return AgentSessionStopped(session_id=session, started_at=5.0, stopped_at=6.0)


def online(endpoint: str = EP, session: str = "ts_1", **changes: Any) -> EndpointOnline:
    said: dict[str, Any] = {
        "endpoint_id": endpoint,
        "account_id": ACCOUNT,
        "session_id": session,
        "url": "tcp://localhost:20001",
        "proto": "tcp",
        "online_at": MADE + 50,
    }
    return EndpointOnline(**(said | changes))


def offline(endpoint: str = EP, session: str = "ts_1") -> EndpointOffline:
    return EndpointOffline(endpoint_id=endpoint, session_id=session, url="tcp://x:1", offline_at=9.0)


class Listening:
    """A controller's end: what it was told, and the directory that this adds up to."""

    def __init__(self) -> None:
        self.notes: list[LiveNote] = []
        self.telling: asyncio.Task[None] | None = None
        self.live = LiveDirectory(known=False)
        self.heard = asyncio.Event()
        self.lost = asyncio.Event()
        self.channel = Channel(self._nothing, self._note, self.lost.set)

    async def _nothing(self, do: str, args: msgspec.Raw) -> object:
        raise Error("unknown")

    def _note(self, do: str, args: msgspec.Raw) -> None:
        assert do == "live"
        note = msgspec.json.decode(args, type=LiveNote)
        self.notes.append(note)
        self.live.apply(note)
        self.heard.set()

    async def until(self, sessions: int, endpoints: int) -> None:
        """Wait until so many are known."""
        async with asyncio.timeout(PATIENCE):
            while (len(self.live.sessions), len(self.live.endpoints)) != (sessions, endpoints):
                self.heard.clear()
                await self.heard.wait()

    async def next_note(self) -> LiveNote:
        """Wait for one more note."""
        count = len(self.notes)
        async with asyncio.timeout(PATIENCE):
            while len(self.notes) == count:
                self.heard.clear()
                await self.heard.wait()
        return self.notes[count]

    @property
    def endpoint(self) -> LiveEndpoint:
        [found] = self.live.endpoints.older(ACCOUNT)
        return found


@asynccontextmanager
async def told(directory: Directory) -> AsyncGenerator[Listening]:
    """Join a controller to the directory for the time of the context."""
    loop = asyncio.get_running_loop()
    listening, lost = Listening(), asyncio.Event()
    ours = Channel(directory.handle, lambda _do, _args: None, lost.set, beside={directories.COMMAND})
    one, other = socket.socketpair()
    await loop.create_unix_connection(lambda: ours, sock=one)
    await loop.create_unix_connection(lambda: listening.channel, sock=other)
    async with Tasks() as tasks:
        telling = listening.telling = tasks.start(directory.tell(ours), name="telling")
        try:
            yield listening
        finally:
            await listening.channel.close()
            await lost.wait()
            telling.cancel()
            await ours.close()
            await listening.lost.wait()


async def test_events_go_on_to_the_log() -> None:
    log = Events()
    directory = Directory(log)
    happened = [started(), online(), "anything", offline(), stopped()]
    for event in happened:
        directory.emit(event)
    assert log.all == happened


async def test_what_was_there_before_the_controller_is_told_at_once() -> None:
    directory = Directory(Events())
    directory.emit(started(metadata="m", os="linux"))
    directory.emit(online(name="n", pooling_enabled=True))
    async with told(directory) as controller:
        await controller.until(1, 1)
        assert [(note.reset, note.complete) for note in controller.notes] == [(True, True)]
        assert list(controller.live.sessions.older(ACCOUNT)) == [
            LiveSession(
                id="ts_1",
                account_id=ACCOUNT,
                credential_id="cr_1",
                agent_version="3.1",
                ip="203.0.113.9",
                metadata="m",
                os="linux",
                started_at=5.0,
            )
        ]
        assert controller.endpoint == LiveEndpoint(
            id=EP,
            account_id=ACCOUNT,
            session_id="ts_1",
            url="tcp://localhost:20001",
            name="n",
            pooling_enabled=True,
            created_at=MADE,
            updated_at=MADE,
        )


async def test_nothing_online_is_told_too() -> None:
    async with told(Directory(Events())) as controller:
        assert await controller.next_note() == LiveNote(reset=True)
        assert await controller.live.known(0)


async def test_changes_are_told_and_what_is_over_by_its_identifier() -> None:
    directory = Directory(Events())
    async with told(directory) as controller:
        await controller.next_note()
        directory.emit(started())
        directory.emit(online())
        await controller.until(1, 1)
        change = EndpointUpdated(
            endpoint_id=EP, session_id="ts_1", url="", metadata="new", updated_at=MADE + 60
        )
        directory.emit(change)
        note = await controller.next_note()
        assert (note.reset, note.sessions, note.gone) == (False, (), ())
        assert (controller.endpoint.metadata, controller.endpoint.updated_at) == ("new", MADE + 60)
        assert controller.endpoint.created_at == MADE
        directory.emit(offline())
        directory.emit(stopped())
        await controller.until(0, 0)
        assert set(controller.notes[-1].gone) == {EP, "ts_1"}


async def test_a_refused_agent_is_not_online() -> None:
    directory = Directory(Events())
    directory.emit(started("", error="no"))
    directory.emit(started("ts_9", error="no"))
    async with told(directory) as controller:
        assert (await controller.next_note()).sessions == ()


async def test_an_endpoint_on_two_legs_lives_until_the_last_of_them() -> None:
    directory = Directory(Events())
    async with told(directory) as controller:
        directory.emit(online(session="ts_1"))
        directory.emit(online(session="ts_2"))
        await controller.until(0, 1)
        assert controller.endpoint.session_id == "ts_2"
        directory.emit(offline(session="ts_2"))
        await controller.next_note()
        assert controller.endpoint.session_id == "ts_1"
        directory.emit(offline(session="ts_1"))
        await controller.until(0, 0)


async def test_a_bind_that_replaces_itself_stays_online() -> None:
    directory = Directory(Events())
    directory.emit(online(metadata="old"))
    update = EndpointUpdated(endpoint_id=EP, session_id="ts_1", url="", metadata="x", updated_at=MADE + 7)
    directory.emit(update)
    directory.emit(online(metadata="new"))
    directory.emit(offline())
    async with told(directory) as controller:
        await controller.until(0, 1)
        assert (controller.endpoint.metadata, controller.endpoint.updated_at) == ("new", MADE + 7)
        directory.emit(offline())
        directory.emit(offline())  # once too often does no harm
        directory.emit(update)
        await controller.until(0, 0)


async def test_a_burst_is_told_as_it_stands_in_the_end() -> None:
    directory = Directory(Events())
    async with told(directory) as controller:
        await controller.next_note()
        for number in range(1000):
            directory.emit(online(metadata=str(number)))
            directory.emit(offline())
        directory.emit(online(metadata="last"))
        note = await controller.next_note()
        assert [each.metadata for each in note.endpoints] == ["last"]


async def test_much_is_told_in_bounded_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "NOTE_THINGS", 10)
    monkeypatch.setattr(directories, "NOTE_BYTES", 8_000)
    directory = Directory(Events())
    for number in range(25):
        directory.emit(online(f"ep_{number:027d}"))
    for number in range(25, 35):
        directory.emit(online(f"ep_{number:027d}", metadata="m" * 4_000))
    async with told(directory) as controller:
        await controller.until(0, 35)
        notes = controller.notes
    assert [note.reset for note in notes] == [True] + [False] * (len(notes) - 1)
    assert [note.complete for note in notes] == [False] * (len(notes) - 1) + [True]
    assert max(len(note.endpoints) for note in notes) == 10
    assert all(len(msgspec.json.encode(note)) < 8_000 + 5_000 for note in notes)
    assert len(notes) >= 3 + 10 * 4_000 // 13_000


async def test_a_controller_that_is_away_costs_nothing() -> None:
    directory = Directory(Events())
    async with told(directory) as controller:
        directory.emit(online())
        await controller.until(0, 1)
    for number in range(1000):
        directory.emit(online(f"ep_{number:027d}"))
        directory.emit(offline(f"ep_{number:027d}"))
    assert repr(directory) == "<Directory sessions=0 endpoints=1 untold=0>"
    async with told(directory) as controller:
        await controller.until(0, 1)
        assert controller.notes[0].reset


async def test_a_channel_that_is_lost_ends_the_telling_at_the_next_change() -> None:
    directory = Directory(Events())
    async with told(directory) as controller:
        await controller.next_note()
        await controller.channel.close()
        await controller.lost.wait()
        directory.emit(online())
        assert controller.telling is not None
        await asyncio.wait_for(controller.telling, PATIENCE)
        directory.emit(online("ep_2"))
        assert "untold=0" in repr(directory)


async def test_ten_thousand_endpoints_are_told() -> None:
    directory = Directory(Events())
    for number in range(10_000):
        directory.emit(online(f"ep_{number:027d}", f"ts_{number // 100:027d}"))
    async with told(directory) as controller:
        await controller.until(0, 10_000)
        assert len(controller.notes) == 20


async def test_a_command_reaches_whoever_carries_it_out() -> None:
    directory = Directory(Events())
    heard: list[tuple[str, str, str]] = []

    async def carry_out(*order: str) -> None:
        heard.append((order[0], order[1], order[2]))
        if order[0] == "ts_bad":
            raise Error("It failed.", 807)

    async with told(directory) as controller:
        ask = {"session_id": "ts_1", "what": "update", "version": "4"}
        with pytest.raises(Error, match="no request"):
            await controller.channel.call("command", ask, dict[str, str])
        directory.obey(carry_out)
        assert await controller.channel.call("command", ask, dict[str, str]) == {}
        with pytest.raises(Error) as caught:
            await controller.channel.call("command", {"session_id": "ts_bad", "what": "stop"}, object)
        with pytest.raises(Error, match="no request"):
            await controller.channel.call("other", {}, object)
    assert caught.value.code == "ERR_NGROK_807"
    assert heard == [("ts_1", "update", "4"), ("ts_bad", "stop", "")]
