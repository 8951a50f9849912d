"""Events on a bounded queue: a consumer that is slow never holds up the agent.

python examples/event_queue.py 8080
"""

import asyncio
import logging
import sys

import portway

log = logging.getLogger("events")


async def consume(events: "asyncio.Queue[portway.Event]") -> None:
    """Take events in one's own time."""
    while True:
        event = await events.get()
        print(event.timestamp.isoformat(timespec="milliseconds"), event.event_type, flush=True)


async def main(upstream: str) -> None:
    """Forward, and print every event."""
    events: asyncio.Queue[portway.Event] = asyncio.Queue(10)

    def enqueue(event: portway.Event) -> None:
        try:
            events.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("an event was dropped: %s", event.event_type)

    agent = portway.Agent(event_handlers=[enqueue], heartbeat_interval=1)
    async with agent, asyncio.TaskGroup() as group:
        group.create_task(consume(events))
        forwarder = await agent.forward(upstream)
        print(forwarder.url, flush=True)
        await forwarder.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
