"""Backends without an agent: addresses that the service dials itself, within its guard."""

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
from tests.kit.certificates import Authority
from tests.kit.edges import backend, edge, opened, tell
from tests.kit.pipes import Bell, End, Recorder
from tests.kit.service import Running, running_worker, settings
from tests.kit.traffic import echo, server

from portway.edge.member import Answered, Visitor
from portway.edge.static_member import LIMIT, ResponseMember, StaticMember
from portway.errors import StreamLimit
from portway.model.guard import Guard
from portway.net.tasks import Tasks
from portway.net.tls import agent_context

LOOPBACK = (ip_network("127.0.0.0/8"),)
VISITOR = Visitor("192.0.2.1:5", "127.0.0.1:6", "tcp")


async def attached(service: Running, *rows: Any) -> int:
    """Put a TCP edge online with the first of some backends; return its port."""
    port = service.worker.config.tcp_ports[0]
    tell(service, *rows, edge("tcp", [f"tcp://localhost:{port}"], backend=rows[0].id))
    return await opened(service, port)


async def said(port: int, text: bytes = b"hello") -> bytes:
    """Visit, say something, return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.row("ED-06")
async def test_a_static_backend_is_reached_without_an_agent() -> None:
    async with server(echo) as upstream, running_worker(config=settings(outgoing_allow=LOOPBACK)) as service:
        port = await attached(service, backend("static", address=f"localhost:{upstream}"))
        assert await said(port) == b"hello"


@pytest.mark.row("ED-06")
async def test_this_machine_is_not_reached_unless_it_is_allowed() -> None:
    async with server(echo) as upstream, running_worker() as service:
        port = await attached(service, backend("static", address=f"127.0.0.1:{upstream}"))
        assert await said(port) == b""


@pytest.mark.row("ED-05")
async def test_failover_tries_the_next_when_an_address_does_not_answer() -> None:
    async with server(echo) as upstream, running_worker(config=settings(outgoing_allow=LOOPBACK)) as service:
        port = await attached(
            service,
            backend("failover", backends=["bkdsc_1", "bkdsc_2"]),
            backend("static", 1, address="127.0.0.1:1"),
            backend("static", 2, address=f"127.0.0.1:{upstream}"),
        )
        await said(port)  # the address is found dead by whoever comes first
        for _ in range(3):
            assert await said(port) == b"hello"


async def dialled(member: StaticMember) -> bytes:
    """Say hello through a member; return what comes back, b"reset" for a reset."""
    bell = Bell()
    heard = Recorder(bell)
    end = End(member.open(VISITOR, heard), heard)
    await end.put(b"hello")
    await bell.until(lambda: bool(heard.data or heard.ends or heard.resets))
    end.pipe.end()
    await bell.until(lambda: bool(heard.ends or heard.resets))
    return b"reset" if heard.resets else bytes(heard.data)


async def test_tls_to_the_address_is_verified() -> None:
    authority, tasks = Authority(), Tasks()
    guard = Guard(["127.0.0.0/8"])
    async with server(echo, tls=authority.server_context("localhost")) as upstream:
        spec = {"address": f"localhost:{upstream}", "tls": {"enabled": True}}
        trusting = StaticMember("bkdsc_1", spec, guard, tasks, context=lambda: agent_context(authority.pem))
        assert await dialled(trusting) == b"hello"
        assert await dialled(StaticMember("bkdsc_1", spec, guard, tasks)) in {b"", b"reset"}
    await tasks.close()


async def test_a_name_is_judged_by_every_address_that_it_has() -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254", "127.0.0.1"]

    tasks = Tasks()
    async with server(echo) as upstream:
        spec = {"address": f"name.example:{upstream}"}
        member = StaticMember("bkdsc_1", spec, Guard(["127.0.0.0/8"]), tasks, resolve=resolve)
        assert await dialled(member) == b"hello"
        member = StaticMember("bkdsc_1", spec, Guard(), tasks, resolve=resolve)
        assert await dialled(member) == b"reset"
        member = StaticMember("bkdsc_1", {"address": "nowhere.invalid:1"}, Guard(), tasks)
        assert await dialled(member) == b"reset"
    await tasks.close()


async def test_an_address_that_does_not_answer_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    member = StaticMember("bkdsc_1", {"address": "127.0.0.1:1"}, Guard(), tasks)
    with caplog.at_level("WARNING"):
        for _ in range(3):
            assert await dialled(member) == b"reset"
    assert len(caplog.records) == 1
    assert member.usable
    member.retired = True
    assert not member.usable, "who keeps a connection to it lets it go"
    await tasks.close()


async def test_too_many_connections_find_it_busy() -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    tasks = Tasks()
    member = StaticMember("bkdsc_1", {"address": "a.example:1"}, Guard(), tasks, resolve=never)
    pipes = [member.open(VISITOR, Recorder(Bell())) for _ in range(LIMIT)]
    with pytest.raises(StreamLimit):
        member.open(VISITOR, Recorder(Bell()))
    assert f"open={LIMIT}" in repr(member)
    await tasks.close()
    for pipe in pipes:
        pipe.abort(6)


def test_an_answer_has_its_status_headers_and_body() -> None:
    spec = {"status_code": 418, "headers": {"X-A": "b", "Content-Length": "99"}, "body": "tea"}
    member = ResponseMember("bkdhr_1", spec)
    assert member.usable
    assert "418" in repr(member)
    with pytest.raises(Answered) as caught:
        member.open(VISITOR, Recorder(Bell()))
    head = caught.value.head
    assert (head.status, head.plain, caught.value.body) == (418, [b"X-A: b"], b"tea")
    assert head.special == {b"content-length": [b"3"]}
    empty = ResponseMember("bkdhr_1", {"status_code": 204, "body": "x"})
    with pytest.raises(Answered) as caught:
        empty.open(VISITOR, Recorder(Bell()))
    assert (caught.value.body, caught.value.head.special) == (b"", {})
