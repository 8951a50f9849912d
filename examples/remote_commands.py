"""Let the service stop, restart or update this program.

    python examples/remote_commands.py

Then, elsewhere: portway api tunnel-sessions stop ID
"""

import asyncio

import portway


def obey(session: portway.AgentSession, request: portway.RPCRequest) -> None:
    """Decide what a command means here. Returning agrees; what is raised goes back to who asked."""
    print(session.id, request.method, flush=True)
    if request.method == "UpdateAgent":
        raise RuntimeError("updates come with the next deployment")


async def main() -> None:
    """Stay online until we are told to stop; after a restart come back."""
    async with portway.Agent(rpc_handler=obey) as agent:
        while True:
            listener = await agent.listen(metadata="obeys")
            print(agent.session.id, listener.url, flush=True)
            await listener.wait()


if __name__ == "__main__":
    asyncio.run(main())
