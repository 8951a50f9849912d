"""Our agents that are measured, one process for one or many.

python -m bench.agent forward UPSTREAM   forwards endpoints; prints their URLs: tcp, http, https, https before
                                         an upstream of HTTP/2, and http under policies of bench.policy.COUNTS
                                         rules
python -m bench.agent idle COUNT         holds sessions with an http endpoint each; prints `ready`
"""

import asyncio
import contextlib
import sys

from bench.policy import COUNTS, document

import portway
from portway.net.loop import run

AT_ONCE = 8
"""Sessions that connect at the same time: a service bears 16 unauthenticated ones of one address."""


async def forward(port: str) -> None:
    """Forward until killed."""
    async with portway.Agent() as agent:
        made = [
            await agent.forward(f"127.0.0.1:{port}", url=f"{scheme}://")
            for scheme in ("tcp", "http", "https")
        ]
        upstream = portway.Upstream(f"127.0.0.1:{port}", protocol="http2")
        made.append(await agent.forward(upstream, url="https://"))
        for rules in COUNTS:
            text = document(rules, matching=False) if rules else ""
            made.append(await agent.forward(f"127.0.0.1:{port}", url="http://", traffic_policy=text))
        print(*(endpoint.url for endpoint in made), flush=True)
        await asyncio.Event().wait()


async def idle(count: str) -> None:
    """Hold sessions until killed."""
    numbers = iter(range(int(count)))
    async with contextlib.AsyncExitStack() as stack:

        async def worker() -> None:
            for _ in numbers:
                agent = await stack.enter_async_context(portway.Agent())
                await agent.forward("127.0.0.1:9", url="http://")

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run({"forward": forward, "idle": idle}[sys.argv[1]](sys.argv[2]))
