"""Reservations outlive the service."""

from pathlib import Path

import pytest
from tests.kit.store import Clock, opened

from portway.control.service import accounts, reservations
from portway.errors import Error
from portway.model.entities import Reservation

URL = "tcp://localhost:20000"


async def test_what_is_online_or_held_stands_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        account = (await accounts.add(context, "a")).id
        await reservations.reserve(context, URL, account, "session-1")
        await reservations.reserve(context, "https://b.portway.localhost", account, "session-1")
        await reservations.hold(context, "https://b.portway.localhost", clock.now + 180)
    clock.now += 100
    async with opened(tmp_path, clock) as context:
        assert await reservations.standing(context) == [
            Reservation("https://b.portway.localhost", account, "session-1", clock.now + 80),
            Reservation(URL, account, "session-1"),
        ]
        clock.now += 80
        assert await reservations.standing(context) == [Reservation(URL, account, "session-1")]
        clock.now -= 80
        assert len(await reservations.standing(context)) == 1, "what ended was forgotten"


async def test_reserving_replaces_and_releasing_forgets(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as context:
        a = (await accounts.add(context, "a")).id
        b = (await accounts.add(context, "b")).id
        await reservations.reserve(context, URL, a, "one")
        await reservations.hold(context, URL, clock.now + 180)
        await reservations.reserve(context, URL, b, "two")
        assert await reservations.standing(context) == [Reservation(URL, b, "two")]
        await reservations.release(context, URL)
        await reservations.release(context, URL)
        await reservations.hold(context, URL, clock.now + 180)
        assert await reservations.standing(context) == []


async def test_an_unknown_account_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as context:
        with pytest.raises(Error) as caught:
            await reservations.reserve(context, URL, "ac_x", "one")
    assert caught.value.code == "ERR_NGROK_336"
