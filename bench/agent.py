"""The agent that is measured: python -m bench.agent UPSTREAM_PORT; prints its tcp and its http URL."""

import asyncio
import sys

import portway
from portway.net.loop import run


async def main(port: str) -> None:
    """Forward two endpoints to one upstream until killed."""
    async with portway.Agent() as agent:
        raw = await agent.forward(f"127.0.0.1:{port}", url="tcp://")
        web = await agent.forward(f"127.0.0.1:{port}", url="http://")
        print(raw.url, web.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(main(sys.argv[1]))
