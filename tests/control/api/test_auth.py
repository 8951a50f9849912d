"""Who calls."""

import asyncio
import base64
from pathlib import Path

import pytest
from tests.kit.api import Api, running_api

from portway.control.api.app import make_app
from portway.control.api.auth import Caller, Doorkeeper, presented_key
from portway.control.api.failures import WAITING_LIMIT
from portway.errors import Error


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        (basic("abc:"), "abc"),
        (basic(":abc"), "abc"),
        (basic("user:abc"), "abc"),
        (basic("abc"), "abc"),
    ],
)
def test_keys(header: str, key: str) -> None:
    assert presented_key(header) == key


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, 200),
        ("", 201),
        ("abc", 201),
        ("Bearer", 201),
        ("Bearer ", 201),
        ("Digest abc", 201),
        ("Basic %%%", 201),
        ("Basic /w==", 201),
    ],
)
@pytest.mark.row("C6")
def test_what_is_unreadable(header: str | None, code: int) -> None:
    with pytest.raises(Error) as raised:
        presented_key(header)
    assert raised.value.code == f"ERR_NGROK_{code}"


class Naps:
    """Sleeps that last until they are ended."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.ended = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await self.ended.wait()


async def wrong(door: Doorkeeper, source: str, code: int = 203) -> None:
    with pytest.raises(Error) as raised:
        await door.admit("Bearer " + "x" * 27 + "_wrong", source)
    assert raised.value.code == f"ERR_NGROK_{code}"


async def after(api: Api, failures: int) -> tuple[Doorkeeper, Naps]:
    naps = Naps()
    door = Doorkeeper(api.context, sleep=naps)
    for _ in range(failures):
        await wrong(door, "192.0.2.1")
    return door, naps


async def test_who_keeps_trying_waits_before_the_key_is_looked_at(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        door, naps = await after(api, api.context.settings.wrong_keys)
        waiting = [asyncio.ensure_future(wrong(door, "192.0.2.1")) for _ in range(WAITING_LIMIT)]
        right = f"Bearer {api.key}"
        assert (await door.admit(right, "192.0.2.2")).account_id == api.account_id, "others do not wait"
        assert naps.taken == [api.context.settings.wrong_key_delay] * WAITING_LIMIT
        await wrong(door, "192.0.2.1", 226)
        naps.ended.set()
        await asyncio.gather(*waiting)
        assert (await door.admit(right, "192.0.2.1")).account_id == api.account_id, "a right key passes"


async def test_who_has_no_key_at_all_counts_too(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        door, naps = await after(api, 9)
        with pytest.raises(Error):
            await door.admit(None, "192.0.2.1")
        naps.ended.set()
        await wrong(door, "192.0.2.1")
    assert len(naps.taken) == 1


async def test_a_good_key_never_counts(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        door, naps = await after(api, 9)
        for _ in range(5):
            await door.admit(f"Bearer {api.key}", "192.0.2.1")
    assert naps.taken == []


@pytest.mark.parametrize(
    ("forwarded", "source"),
    [("", ""), ("192.0.2.7", "192.0.2.7"), ("10.0.0.1, 192.0.2.7", "192.0.2.7"), ("x" * 999, "x" * 64)],
)
async def test_the_source_is_what_our_own_edge_appended(tmp_path: Path, forwarded: str, source: str) -> None:
    seen: list[str] = []

    class Spy(Doorkeeper):
        async def admit(self, authorization: str | None, source: str) -> Caller:
            seen.append(source)
            raise Error("no", 200)

    async with running_api(tmp_path) as api:
        other = Api(make_app(api.context, doorkeeper=Spy(api.context)), api.context, api.key, api.account_id)
        await other.send("GET", "/", headers={"x-forwarded-for": forwarded})
    assert seen == [source]
