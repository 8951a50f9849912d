"""A program of ours published as an endpoint: the API, for visitors of http and of https."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.kit.agent import code
from tests.kit.service import DOMAIN, Running, running_worker

from portway.edge.local_member import LocalMember
from portway.edge.member import Visitor
from portway.edge.ports import Limits
from portway.errors import SessionClosed, StreamLimit
from portway.model.event import EndpointOnline, HttpRequestComplete
from portway.net.local import LocalPipes, LocalSocket
from portway.net.tasks import Tasks
from portway.net.tls import agent_context

HOST = f"api.{DOMAIN}"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Api:
    """The smallest HTTP server: it answers with what it was asked."""

    def __init__(self) -> None:
        self.connections = 0
        self.asked = asyncio.Event()
        self.going_on = asyncio.Event()
        self.going_on.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.set()
                await self.going_on.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def inherited(made: LocalSocket) -> socket.socket:
    """Return the listening socket as a child has it."""
    return socket.socket(fileno=os.dup(made.fileno()))


@asynccontextmanager
async def published(folder: Path, limits: Limits | None = None) -> AsyncGenerator[tuple[Running, Api]]:
    """A data plane that publishes it."""
    answering = Api()
    with LocalSocket(folder / "api.sock") as made:
        async with (
            await asyncio.start_unix_server(answering, sock=inherited(made)),
            running_worker(limits=limits, api=made.address) as service,
        ):
            yield service, answering


async def connected(service: Running, scheme: str) -> Streams:
    """Connect as a visitor."""
    if scheme == "http":
        return await asyncio.open_connection("127.0.0.1", service.http_port)
    return await asyncio.open_connection(
        "127.0.0.1", service.https_port, ssl=agent_context(service.certs.ca), server_hostname=HOST
    )


async def ask(streams: Streams, *fields: str) -> tuple[int, str]:
    """Ask once; return status and body."""
    reader, writer = streams
    writer.write("\r\n".join(("GET /self HTTP/1.1", f"Host: {HOST}", *fields, "", "")).encode())
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = head.lower().partition("content-length: ")[2].split("\r\n")[0]
        body = await reader.readexactly(int(length))
    return int(head.split()[1]), body.decode()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_api_answers_and_learns_who_the_visitor_is(tmp_path: Path, scheme: str) -> None:
    async with published(tmp_path) as (service, api):
        streams = await connected(service, scheme)
        for _ in range(2):
            claims = ("X-Forwarded-For: 203.0.113.9", "ngrok-version: 2", "Ngrok_Version: 1", "Ngrok-X: y")
            status, body = await ask(streams, *claims)
            assert status == 200
            fields = dict(line.split(": ", 1) for line in body.split("\r\n")[1:] if line)
            assert fields["X-Forwarded-For"] == "203.0.113.9, 127.0.0.1"
            assert fields["X-Forwarded-Proto"] == scheme
            ngrok = [name for name in fields if name.lower().replace("_", "-").startswith("ngrok-")]
            assert ngrok == ["ngrok-version"]  # what its clients say; the rest is not for visitors to say
        assert api.connections == 1
        streams[1].close()
        told = await service.events.next(HttpRequestComplete, 2)
        assert (told.account_id, told.host, told.status) == ("", HOST, 200)


async def test_it_is_the_services_own_and_nobodys_endpoint(tmp_path: Path) -> None:
    async with published(tmp_path) as (service, _), service.connected() as agent:
        for asked in (HOST, f"below.{HOST}"):
            for scheme in ("http", "https", "tls"):
                assert code(await agent.bind(scheme, {"URL": f"{scheme}://{asked}"})) == "320"
        assert service.events.of(EndpointOnline) == []
        assert {each.account_id for each in service.worker.registry.all()} == {""}
        await service.settled()
        assert service.control.names == {}


async def test_an_api_that_is_not_there_is_answered_for(tmp_path: Path) -> None:
    async with running_worker(api=str(tmp_path / "none.sock")) as service:
        streams = await connected(service, "http")
        assert (await ask(streams))[0] == 502
        streams[1].close()


async def test_a_stop_lets_the_running_answer_finish(tmp_path: Path) -> None:
    async with published(tmp_path) as (service, api):
        api.going_on.clear()
        streams = await connected(service, "http")
        asking = asyncio.ensure_future(ask(streams))
        await api.asked.wait()
        draining = asyncio.ensure_future(service.worker.drain())
        member = service.worker.api
        assert member is not None
        while member.usable:  # noqa: ASYNC110  one turn of the loop, no time
            await asyncio.sleep(0)
        assert not draining.done()
        api.going_on.set()
        assert (await asking)[0] == 200
        await draining
        streams[1].close()


async def test_visitors_are_counted(tmp_path: Path) -> None:
    async with published(tmp_path, Limits(api_visitors=1)) as (service, _):
        first, second = await connected(service, "http"), await connected(service, "http")
        assert (await ask(first))[0] == 200
        assert (await ask(second))[0] == 502
        for _, writer in (first, second):
            writer.close()


async def test_a_member_that_was_closed_serves_nobody(tmp_path: Path) -> None:
    async with Tasks() as tasks:
        member = LocalMember("api", LocalPipes(str(tmp_path / "none"), tasks), limit=1)
        visitor = Visitor("192.0.2.1:1", "192.0.2.2:80", "http")
        sink = Sink()
        member.open(visitor, sink)
        with pytest.raises(StreamLimit):
            member.open(visitor, sink)
        member.close()
        assert not member.usable
        with pytest.raises(SessionClosed):
            member.open(visitor, sink)
        assert repr(member) == "<LocalMember api gone>"


class Sink:
    """Hears and forgets."""

    def on_data(self, view: memoryview) -> None:
        pass

    def on_end(self) -> None:
        pass

    def on_reset(self, code: int) -> None:
        pass

    def on_room(self) -> None:
        pass
