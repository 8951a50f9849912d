"""A member that is a program of ours on this machine, such as the API behind its Unix socket."""

from typing import TYPE_CHECKING

from portway.edge.counters import Counters
from portway.errors import SessionClosed, StreamLimit

if TYPE_CHECKING:
    from portway.edge.member import Visitor
    from portway.net.local import LocalPipes
    from portway.pipe import Pipe, Sink


class LocalMember:
    """Serves an endpoint over a local socket. The program reads HTTP as the edge writes it.

    It learns who the visitor is from the last element of X-Forwarded-For, which the edge writes.
    """

    def __init__(self, id: str, pipes: "LocalPipes", limit: int) -> None:  # noqa: A002  the name of the interface
        """Serve under a name, over these, at most ``limit`` visitors at a time."""
        self.id = id
        self.forwards_proto = ""
        self.counters = Counters()
        self._pipes = pipes
        self._limit = limit
        self._retired = False

    def __repr__(self) -> str:
        """Show whom it serves."""
        state = "gone" if self._retired else repr(self._pipes)
        return f"<LocalMember {self.id} {state}>"

    @property
    def usable(self) -> bool:
        """False once the service stops."""
        return not self._retired

    def open(self, visitor: "Visitor", sink: "Sink") -> "Pipe":
        """Open a connection for a visitor. Raises StreamLimit or SessionClosed."""
        if self._retired:
            raise SessionClosed("the service is stopping")
        if len(self._pipes) >= self._limit:
            raise StreamLimit(f"{self.id} serves {self._limit} visitors already")
        self.counters.connections += 1
        return self._pipes.open(sink)

    async def drain(self, timeout: float) -> None:
        """Serve nobody new and let what is under way finish, at most so many seconds."""
        self._retired = True
        await self._pipes.drain(timeout)

    def close(self) -> None:
        """Cut what is under way. Idempotent."""
        self._retired = True
        self._pipes.abort()
