"""What the courier sends with, joined to this process."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.kit.store import opened

from portway.control.certificates.seal import Seal
from portway.control.events.sending import Undelivered
from portway.control.service import accounts, event_destinations, event_subscriptions
from portway.control.service.settings import Settings
from portway.model.event import AgentSessionStopped, TcpConnectionClosed
from portway.model.event_types import SESSION_STOP, TCP
from portway.model.events import EventSource
from portway.model.guard import Guard
from portway.net.tasks import Tasks
from portway.net.web_client import WebClient
from portway.server.deliveries import EventOffice, WebPoster, guard_of
from portway.server.event_feed import FLUSH_EVENTS, Told


async def test_loopback_and_metadata_services_are_refused_unless_allowed() -> None:
    client = WebClient(Guard())
    try:
        for url in ("http://127.0.0.1:9/", "http://169.254.169.254/latest", "http://[::1]:9/"):
            with pytest.raises(Undelivered) as caught:
                await WebPoster(client).post(url, {}, b"", 5)
            assert not caught.value.final, "it may be allowed later"
            assert "may not be reached" in caught.value.message
    finally:
        await client.close()


def test_our_own_listeners_are_refused_and_networks_can_be_allowed() -> None:
    settings = Settings(
        listeners=(("192.0.2.1", 4443), ("192.0.2.1", 7080)),
        tcp_ports=range(20_000, 20_002),
        outgoing_allow=("198.51.100.0/24",),
    )
    guard = guard_of(settings)
    assert guard.refusal("192.0.2.1", 7080)
    assert guard.refusal("192.0.2.1", 20_001)
    assert not guard.refusal("192.0.2.1", 80)
    assert not guard.refusal("198.51.100.7", 80)
    assert guard_of(Settings()).refusal("127.0.0.1", 80)


async def _stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nx")
    await writer.drain()
    await reader.read()  # until the other end is tired of it
    writer.close()


async def _streams(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
    except OSError:
        writer.close()


async def test_answers_that_stall_or_stream_for_ever_are_cut() -> None:
    client = WebClient(Guard(["127.0.0.0/8"]))
    try:
        for act, told in ((_stalls, "no whole answer"), (_streams, "longer than")):
            server = await asyncio.start_server(act, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Undelivered) as caught:
                await WebPoster(client).post(f"http://127.0.0.1:{port}/", {}, b"{}", 2.0)
            assert told in caught.value.message
            server.close()
            await server.wait_closed()
    finally:
        await client.close()


async def test_batches_of_the_data_plane_are_sent(tmp_path: Path) -> None:
    async with opened(tmp_path) as plain:
        office = EventOffice()
        context = replace(plain, seal=Seal(tmp_path / "key"), deliveries=office)
        account = (await accounts.add(context, "ann")).id
        to = (await event_destinations.create(context, account, {"file": {"path": "e.jsonl"}})).id
        sources = [EventSource(SESSION_STOP), EventSource(TCP)]
        await event_subscriptions.create(context, account, sources, [to])
        closed = TcpConnectionClosed(account_id=account, client_ip="", start_ts=1.0, end_ts=2.0, bytes_in=7)
        stopped = AgentSessionStopped(session_id="ts_1", account_id=account, started_at=1.0, stopped_at=2.0)
        told = [_told(SESSION_STOP, stopped, "ev_1"), _told("odd", stopped, "ev_2")]
        batch = msgspec.json.encode({"sessions": told, "traffic": [closed]})
        async with Tasks() as tasks:
            running = tasks.start(office.run(context, WebClient(Guard()), tmp_path), name="events")
            test = await event_destinations.test(context, account, to)
            for _ in range(2):
                await office.table()["events"](msgspec.Raw(batch))
            await office.table()[FLUSH_EVENTS](msgspec.Raw(b"{}"))
            state = office.state(to, "file")
            running.cancel()
        lines = (tmp_path / "events" / account / "e.jsonl").read_bytes().splitlines()
    found = [msgspec.json.decode(line) for line in lines]
    assert found[0]["event_id"] == test
    assert [each["event_type"] for each in found[1:]].count(SESSION_STOP) == 1
    assert [each["object"]["conn"]["bytes_in"] for each in found if each["event_type"] == TCP] == [7, 7]
    assert (state.delivered, state.waiting) == (3, 0)


def _told(kind: str, event: object, event_id: str) -> Told:
    return Told(kind, msgspec.Raw(msgspec.json.encode(event)), event_id)
