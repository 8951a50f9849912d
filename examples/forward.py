"""Forward a public URL to a local service, and tell what happens.

python examples/forward.py 8080
"""

import asyncio
import sys

import portway


def tell(event: portway.Event) -> None:
    """Print what happens on the endpoint. Called on the agent's loop: it must not block."""
    match event:
        case portway.ConnectionOpened():
            print("connection from", event.remote_addr, flush=True)
        case portway.HTTPRequestComplete():
            print(event.method, event.path, event.status_code, f"{event.duration * 1000:.0f} ms", flush=True)
        case portway.AgentDisconnected(error=Exception() as error):
            print("lost the service:", error, flush=True)
        case _:
            pass


async def main(upstream: str) -> None:
    """Forward until the endpoint ends."""
    async with portway.Agent(event_handlers=[tell]) as agent:
        forwarder = await agent.forward(upstream)
        print(forwarder.url, "->", forwarder.upstream_url, flush=True)
        await forwarder.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
