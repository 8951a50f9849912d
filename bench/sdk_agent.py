"""The same as bench/agent.py with the official Python SDK, unmodified, in place of our agent.

    python -m bench.sdk_agent forward UPSTREAM
    python -m bench.sdk_agent idle COUNT

The service is told by SERVICE (host:port), CA (a file) and AUTHTOKEN in the environment.
"""

import asyncio
import importlib
import os
import sys
from pathlib import Path
from typing import Any

ngrok: Any = importlib.import_module("ngrok")
CA = Path(os.environ["CA"]).read_bytes()


async def session() -> Any:
    """Connect and authenticate, with the heartbeats that are the SDK's default."""
    builder = ngrok.SessionBuilder().server_addr(os.environ["SERVICE"]).authtoken(os.environ["AUTHTOKEN"])
    builder.ca_cert(bytearray(CA))
    return await builder.connect()


async def forward(port: str) -> None:
    """Forward until killed."""
    live = await session()
    made = [await live.tcp_endpoint().listen_and_forward(f"tcp://127.0.0.1:{port}")]
    for scheme in ("http", "https"):
        builder = live.http_endpoint()
        builder.scheme(scheme)
        made.append(await builder.listen_and_forward(f"http://127.0.0.1:{port}"))
    print(*(endpoint.url() for endpoint in made), flush=True)
    await asyncio.Event().wait()


async def idle(count: str) -> None:
    """Hold sessions until killed."""
    held: list[Any] = []
    for _ in range(int(count)):
        live = await session()
        builder = live.http_endpoint()
        builder.scheme("http")
        held += [live, await builder.listen()]
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run({"forward": forward, "idle": idle}[sys.argv[1]](sys.argv[2]))
