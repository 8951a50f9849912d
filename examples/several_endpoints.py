"""Several endpoints of one agent: they share its one connection to the service.

python examples/several_endpoints.py 8080
"""

import asyncio
import sys

import portway


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say one line."""
    writer.write(b"hello\n")


async def main(upstream: str) -> None:
    """Bring a forwarder and a TCP listener online at once."""
    async with portway.Agent() as agent:
        web, line = await asyncio.gather(
            agent.forward(upstream, name="web", description="what runs beside us"),
            agent.listen("tcp://", name="line", metadata='{"team": "greeters"}'),
        )
        for endpoint in agent.endpoints:
            print(endpoint.name, endpoint.url, flush=True)
        await asyncio.gather(web.wait(), line.serve(greet))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
