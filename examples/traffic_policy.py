"""An endpoint whose traffic policy answers a part of the requests in the service itself.

    python examples/traffic_policy.py 8080

Requests below /teapot never reach the upstream.
"""

import asyncio
import sys

import portway

POLICY = """
on_http_request:
  - name: no coffee here
    expressions:
      - req.url.path.startsWith('/teapot')
    actions:
      - type: custom-response
        config:
          status_code: 418
          body: "a teapot, ${req.method}\\n"
"""


async def main(upstream: str) -> None:
    """Forward with a policy; the service refuses one that it does not understand."""
    async with portway.Agent() as agent:
        try:
            forwarder = await agent.forward(upstream, traffic_policy=POLICY)
        except portway.Error as error:
            sys.exit(f"the service refused: {error.code}: {error.message}")
        print(forwarder.url, flush=True)
        await forwarder.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
