"""An agent that forwards to a real server on loopback: what real clients are tested with."""

import asyncio

from portway.edge.counters import Counters
from portway.edge.member import Visitor
from portway.errors import ConnectError
from portway.net.dial import dial
from portway.net.leg import Leg
from portway.net.memory import MemoryPipe, memory_pair
from portway.net.tasks import Tasks
from portway.pipe import Pipe, Sink


class ForwardingAgent:
    """A member whose streams are joined to a server's sockets."""

    forwards_proto = ""
    id = "forward"
    usable = True

    def __init__(self, port: int) -> None:
        self.port = port
        self.counters = Counters()
        self.legs: list[Leg] = []
        self._tasks = Tasks()

    @property
    def streams(self) -> int:
        """Count all that were ever opened."""
        return len(self.legs)

    def open(self, visitor: Visitor, sink: Sink) -> Pipe:
        near, far = memory_pair()
        near.attach(sink)
        leg = Leg()
        self.legs.append(leg)
        far.attach(leg)
        leg.join(far)
        self._tasks.start(self._dial(leg, far), name="dial")
        return near

    async def _dial(self, leg: Leg, pipe: MemoryPipe) -> None:
        try:
            await dial("127.0.0.1", self.port, lambda: leg)
        except ConnectError:
            pipe.end()

    async def close(self) -> None:
        """Cut all streams."""
        await self._tasks.close()
        for leg in self.legs:
            leg.abort()
        await asyncio.sleep(0)
