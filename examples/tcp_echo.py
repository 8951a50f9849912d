"""A TCP service inside this program, with the callback that `asyncio.start_server` takes.

    python examples/tcp_echo.py

Prints the address; whatever is sent there comes back.
"""

import asyncio

import portway


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def main() -> None:
    """Listen on a random address, and serve until the program is stopped."""
    async with portway.Agent() as agent:
        listener = await agent.listen("tcp://")
        print(listener.url, flush=True)
        await listener.serve(echo)


if __name__ == "__main__":
    asyncio.run(main())
