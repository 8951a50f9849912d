"""The controller's main program and its requests (its life is tested through the link)."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.kit.store import opened

from portway.control.service import accounts, credentials
from portway.control.store import changes
from portway.errors import Error
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


async def test_changes_are_told_from_the_asked_number_on(tmp_path: Path) -> None:
    told: asyncio.Queue[bytes] = asyncio.Queue()

    async def refuse(_do: str, _args: msgspec.Raw) -> object:
        raise Error("no")

    ends = socket.socketpair()
    loop = asyncio.get_running_loop()
    ours = Channel(refuse, lambda _do, args: told.put_nowait(bytes(args)), lambda: None)
    async with opened(tmp_path) as context:
        await accounts.add(context, "a")
        ids = [(await credentials.add(context)).value.id for _ in range(3)]
        await credentials.revoke(context, ids[0])
        async with context.database.read() as connection:
            known = await changes.last(connection)
        for each in ids[1:]:
            await credentials.revoke(context, each)
        made = Controller(context, tmp_path)
        theirs = Channel(made.handle, lambda _do, _args: None, lambda: None)
        await loop.create_unix_connection(lambda: ours, sock=ends[0])
        await loop.create_unix_connection(lambda: theirs, sock=ends[1])
        telling = asyncio.ensure_future(made.tell(theirs))
        asked = msgspec.Raw(msgspec.json.encode({"after": known}))
        assert await made.handle("follow", asked) == {"seq": known}
        assert [msgspec.json.decode(await told.get()) for _ in range(2)] == [
            {"seq": known + 1, "credential_id": ids[1]},
            {"seq": known + 2, "credential_id": ids[2]},
        ]
        assert await made.handle("follow", msgspec.Raw(b'{"after": null}')) == {"seq": known + 2}
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await ours.close()
        await theirs.close()


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
