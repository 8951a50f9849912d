"""The controller's main program and its requests (its life is tested through the link)."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest
from sqlalchemy import text
from tests.kit.store import opened

from portway.control.service import accounts, credentials
from portway.control.service.view import Snapshot
from portway.control.store import changes
from portway.errors import Error
from portway.model.view import CredentialItem
from portway.server import controller
from portway.server.channel import Channel
from portway.server.controller import Controller


async def test_an_unknown_request_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(Error, match="no request 'nonsense'"):
            await Controller(context, tmp_path).handle("nonsense", msgspec.Raw(b"{}"))


async def test_requests_with_wrong_arguments_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(Error, match="does not fit Reserve"):
            await Controller(context, tmp_path).handle("reserve", msgspec.Raw(b'{"url": 1}'))


async def test_the_view_is_asked_for_and_then_told(tmp_path: Path) -> None:
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def refuse(_do: str, _args: msgspec.Raw) -> object:
        raise Error("no")

    ends = socket.socketpair()
    loop = asyncio.get_running_loop()
    ours = Channel(refuse, lambda do, args: told.put_nowait({do: msgspec.json.decode(args)}), lambda: None)
    async with opened(tmp_path) as context:
        account = await accounts.add(context, "a")
        kept, ended = [(await credentials.add(context)).value.id for _ in range(2)]
        made = Controller(context, tmp_path)
        made.channel = theirs = Channel(made.handle, made.noted, lambda: None)
        await loop.create_unix_connection(lambda: ours, sock=ends[0])
        await loop.create_unix_connection(lambda: theirs, sock=ends[1])
        following = asyncio.ensure_future(made.follower.run())
        page = await ours.call("view", {"after": None, "cursor": "credential:"}, Snapshot)
        assert page.items == [CredentialItem(each, account.id) for each in sorted([kept, ended])]
        page = await ours.call("view", {"after": None}, Snapshot)
        await credentials.revoke(context, ended)
        async with asyncio.timeout(10):
            note = await told.get()
        item = {"kind": "credential", "id": ended, "account_id": account.id, "gone": True}
        async with context.database.read() as connection:
            assert note == {"view": {"seq": await changes.last(connection), "items": [ANY]}}
        view = msgspec.convert(note["view"], dict[str, Any])
        assert item.items() <= view["items"][0].items()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await ours.close()
        await theirs.close()


async def test_a_store_that_cannot_be_used_is_a_temporary_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        token = "a" * 27 + "_" + "b" * 21
        async with context.database.read() as one, context.database.read() as two:
            for connection in (one, two):
                await connection.execute(text("PRAGMA query_only = ON"))
        made = Controller(context, tmp_path)
        with pytest.raises(Error) as caught:
            await made.handle("release", msgspec.Raw(b'{"name": "https://a.example.com"}'))
        assert caught.value.code == "ERR_NGROK_128"
        asked = {"token": token, "source": "127.0.0.1"}
        with pytest.raises(Error) as caught:  # what is only read goes on
            await made.handle("authenticate", msgspec.Raw(msgspec.json.encode(asked)))
        assert caught.value.code == "ERR_NGROK_107"
        told: Any = await made.handle("numbers", msgspec.Raw(b"{}"))
        assert (told.store.failures, told.store.up, told.expiries) == (1, True, [])
        assert sum(told.store.reads.buckets) >= 3


def test_a_bad_store_ends_with_the_status_of_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "portway.db").mkdir()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [
                sys.executable, "-P", "-m", "portway.server.controller",
                "--fd", str(theirs.fileno()), "--data-dir", str(tmp_path),
            ],
            pass_fds=(theirs.fileno(),), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == controller.EX_CONFIG
    assert "portway.db: cannot be opened" in done.stderr


def test_the_controller_ends_with_its_channel(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [
                sys.executable, "-P", "-m", "portway.server.controller",
                "--fd", str(theirs.fileno()), "--data-dir", str(tmp_path),
            ],
            pass_fds=(theirs.fileno(),),
        )  # fmt: skip
    ours.close()
    assert process.wait(30) == 0


async def test_what_is_online_is_taken_from_notes(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        made = Controller(context, tmp_path)
        session = {"id": "ts_1", "account_id": "ac_1", "credential_id": "cr_1", "started_at": 1.0}
        note = {"reset": True, "sessions": [session]}
        made.noted("live", msgspec.Raw(msgspec.json.encode(note)))
        assert [each.id for each in context.live.sessions.older("ac_1")] == ["ts_1"]
        made.noted("other", msgspec.Raw(b"{}"))
