"""What the older call forms return: to be awaited in a loop, done already in a plain script.

The same line of an older program stands with ``await`` in a coroutine and without in a script. Inside a
running event loop these objects hold work that begins when they are awaited, and nothing else can be done
with them. Outside they are made when the work is done, and are the endpoint, for synchronous code.
"""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from portway.agent.checks import Duration
from portway.agent.endpoint import Endpoint, EndpointListener
from portway.agent.forwarder import EndpointForwarder
from portway.agent.serve import App, Interface
from portway.agent.sync import SyncConnection, SyncEndpoint, SyncForwarder, SyncListener
from portway.agent.url import URL
from portway.net.loop import inside_loop

E = TypeVar("E", bound=Endpoint)
S = TypeVar("S", bound="SyncEndpoint[Any]")


class Dual(Generic[E, S]):
    """Base of the two below."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, E]], make_sync: Callable[[], S]) -> None:
        """Prepare the one where a loop runs here, do the other where none does."""
        inside = inside_loop()
        self._pending = make() if inside else None
        self._sync = None if inside else make_sync()

    def __await__(self) -> Generator[Any, Any, E]:
        """Bring it online. Raises what `Agent.listen` or `Agent.forward` raises."""
        if self._pending is None:
            raise RuntimeError("this endpoint is online already: it was made outside an event loop")
        return self._pending.__await__()

    def __repr__(self) -> str:
        """Show the endpoint."""
        name = type(self).__name__
        return f"<{name} {self._sync!r}>" if self._sync else f"<{name}: to be awaited>"

    @property
    def endpoint(self) -> E:
        """Return the endpoint itself."""
        return self._online.endpoint

    @property
    def url(self) -> URL:
        """Return where visitors reach it; may be called, ``url()``."""
        return self._online.url

    @property
    def id(self) -> str:
        """Return the service's name for it."""
        return self._online.id

    def done(self) -> bool:
        """Return whether it has ended."""
        return self._online.done()

    def wait(self, timeout: Duration | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; return whether it has."""
        return self._online.wait(timeout)

    def close(self, timeout: Duration | None = None) -> None:
        """Take it offline."""
        self._online.close(timeout)

    @property
    def _online(self) -> S:
        if self._sync is None:
            raise RuntimeError("inside an event loop: it must be awaited first")
        return self._sync


class Forwarding(Dual[EndpointForwarder, SyncForwarder]):
    """What ``forward`` of an address returns. In a plain script it forwards in the background."""


class Listening(Dual[EndpointListener, SyncListener]):
    """What ``listen`` returns. In a plain script: `accept`, or `serve` an application."""

    def accept(self, timeout: Duration | None = None) -> SyncConnection:
        """Return the next visitor's connection; see `SyncListener.accept`."""
        return self._online.accept(timeout)

    def serve(self, app: App, *, interface: Interface = "auto", threads: int = 16) -> None:
        """Serve an application until the endpoint ends; see `EndpointListener.serve`."""
        self._online.serve(app, interface=interface, threads=threads)
