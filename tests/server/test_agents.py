"""Commands from the controller to the agents, over its channel."""

import asyncio
import socket

import msgspec
import pytest

from portway.errors import Error
from portway.server.agents import RemoteAgents
from portway.server.channel import Channel


async def test_commands_go_over_the_channel_and_come_back_with_their_codes() -> None:
    heard: list[object] = []

    async def carry_out(do: str, args: msgspec.Raw) -> object:
        order = msgspec.json.decode(args)
        heard.append((do, order))
        if order["what"] == "restart":
            raise Error("not here", 804)
        return {}

    async def refuse(do: str, args: msgspec.Raw) -> object:
        raise Error("no")

    agents = RemoteAgents()
    with pytest.raises(Error) as caught:
        await agents.command("ts_1", "stop")
    assert caught.value.code == "ERR_NGROK_810"

    lost = asyncio.Event()
    worker = Channel(carry_out, lambda _do, _args: None, lambda: None)
    agents.channel = Channel(refuse, lambda _do, _args: None, lost.set)
    loop = asyncio.get_running_loop()
    for channel, end in zip((worker, agents.channel), socket.socketpair(), strict=True):
        await loop.create_unix_connection(lambda channel=channel: channel, sock=end)
    await agents.command("ts_1", "update", "4")
    assert heard == [("command", {"session_id": "ts_1", "what": "update", "version": "4"})]
    with pytest.raises(Error, match="not here") as caught:
        await agents.command("ts_1", "restart")
    assert caught.value.code == "ERR_NGROK_804"

    await worker.close()
    await lost.wait()
    with pytest.raises(Error) as caught:  # lost on the way: nobody knows
        await agents.command("ts_1", "stop")
    assert caught.value.code == "ERR_NGROK_810"
    await agents.channel.close()
