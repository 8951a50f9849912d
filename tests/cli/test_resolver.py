"""Name servers of the user's choice: asked in order, and why there is no address."""

import asyncio
import socket
import sys

import pytest
from tests.kit.name_server import name_server

from portway.cli.resolver import Server, ask, lookup
from portway.errors import ConfigError, ConnectError
from portway.net.tasks import Tasks

NAMES = {"connect.test": ["127.0.0.1", "127.0.0.2", "::1"], "empty.test": []}


async def test_the_addresses_of_a_name() -> None:
    async with name_server(NAMES) as (port, asked):
        found, problem = await ask("connect.test", Server("127.0.0.1", port))
        assert (sorted(found), found[-1], problem) == (sorted(NAMES["connect.test"]), "::1", "")
        assert asked == ["connect.test"] * 2, "no suffix of this machine is tried"
        assert await ask("empty.test", Server("127.0.0.1", port)) == ([], "the name has no address there")
        assert await ask("none.test", Server("127.0.0.1", port)) == ([], "there is no such name")


async def test_the_next_server_is_asked_where_one_does_not_know() -> None:
    async with name_server({}) as (first, _), name_server(NAMES) as (second, _):
        servers = [Server("127.0.0.1", first), Server("127.0.0.1", second)]
        assert set(await lookup("connect.test", servers)) == set(NAMES["connect.test"])
        with pytest.raises(
            ConnectError, match=rf"127.0.0.1:{first}: there is no such name; 127.0.0.1:{second}: "
        ):
            await lookup("none.test", servers)


async def test_what_is_too_long_for_a_datagram_comes_by_tcp() -> None:
    async with name_server(NAMES, short=True) as (port, asked):
        found, problem = await ask("connect.test", Server("127.0.0.1", port))
        assert (sorted(found), problem) == (sorted(NAMES["connect.test"]), "")
        assert asked == ["connect.test"] * 4


async def test_a_question_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portway.cli.resolver.PATIENCE", 0.01)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.setblocking(False)
        deaf.bind(("127.0.0.1", 0))
        async with Tasks() as tasks:
            asking = ask("connect.test", Server("127.0.0.1", deaf.getsockname()[1]), 60)
            tasks.start(asking, name="ask")
            async with asyncio.timeout(30):
                assert await loop.sock_recv(deaf, 512) == await loop.sock_recv(deaf, 512)
            # leaving cancels the question; the guard on sockets sees that nothing stays


async def test_a_server_that_says_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        found, problem = await ask("connect.test", Server("127.0.0.1", deaf.getsockname()[1]), 0.2)
    assert (found, problem) == ([], "no answer in time")


async def test_without_the_library_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.exception", None)
    with pytest.raises(ConfigError, match="dnspython is needed"):
        await ask("connect.test", Server("127.0.0.1"))


def test_how_servers_are_written() -> None:
    assert [str(Server("::1")), str(Server("::1", 5)), str(Server("10.0.0.1", 5))] == [
        "::1",
        "[::1]:5",
        "10.0.0.1:5",
    ]
