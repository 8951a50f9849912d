"""Our own agent in a process of its own, with short heartbeats, telling what happens to it.

Takes one JSON object as argument; writes one JSON object a line on standard output: the URLs first, then
each loss and each return with the time of the monotonic clock, which all processes of a machine share.
On SIGUSR1 it tells how many tasks it has.
"""

import asyncio
import json
import signal
import sys
import time
from typing import Any

import portway
from portway.agent.events import AgentConnectSucceeded, AgentDisconnected, Event


def tell(**what: Any) -> None:
    """Write one line."""
    print(json.dumps({"at": time.monotonic(), **what}), flush=True)


def hear(event: Event) -> None:
    """Pass on what a test of outages wants to know."""
    if isinstance(event, AgentConnectSucceeded):
        tell(event="back")
    elif isinstance(event, AgentDisconnected):
        tell(event="lost", error=str(event.error))


async def main(to: str, url: str, count: int, interval: float, tolerance: float) -> None:
    """Forward ``count`` endpoints until told to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: tell(event="tasks", tasks=len(asyncio.all_tasks())))
    async with portway.Agent(
        heartbeat_interval=interval, heartbeat_tolerance=tolerance, event_handlers=[hear]
    ) as agent:
        made = [await agent.forward(to, url=url) for _ in range(count)]
        tell(urls=[str(endpoint.url) for endpoint in made])
        await ended.wait()


asyncio.run(main(**json.loads(sys.argv[1])))
