"""A web server of somebody else's on a listener: uvicorn's own protocol class speaks HTTP here.

    python examples/third_party_server.py

Any asyncio protocol can be given a connection in this way.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

import portway

Event = MutableMapping[str, Any]


async def app(
    _scope: Event, _receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    """Answer every request with a greeting."""
    body = b"Hello by uvicorn\n"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def main() -> None:
    """Give every connection to a protocol of uvicorn's."""
    config = Config(app, log_config=None)
    config.load()
    state = ServerState()
    async with portway.Agent() as agent:
        listener = await agent.listen()
        print(listener.url, flush=True)
        async for connection in listener:
            connection.use(HttpToolsProtocol(config=config, server_state=state, app_state={}))


if __name__ == "__main__":
    asyncio.run(main())
