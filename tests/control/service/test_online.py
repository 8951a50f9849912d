"""A control plane that does not know yet what is online says so."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kit.names import refused
from tests.kit.store import opened

from portway.control.live import LiveDirectory
from portway.control.service import endpoints, online, tunnel_sessions, tunnels
from portway.control.store.rows import Page
from portway.model.live import LiveNote


async def test_what_is_not_known_yet_is_not_said_to_be_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "PATIENCE", 0)
    async with opened(tmp_path) as plain:
        context = replace(plain, live=LiveDirectory(known=False))
        for listed in (endpoints.listed, tunnels.listed, tunnel_sessions.listed):
            with refused(128):
                await listed(context, "ac_1", Page())
        with refused(128):
            await tunnel_sessions.command(context, "ac_1", "ts_1", "stop")
        context.live.apply(LiveNote(reset=True))
        assert await tunnels.listed(context, "ac_1", Page()) == []
