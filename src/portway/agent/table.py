"""The endpoints of one agent by bind id, and the visitors who come before their endpoint is known.

The service may send the first visitor right behind its answer to a bind, before the task that waits
for the answer has run. While any bind is under way a connection with an unknown id is therefore
*held*: its bytes are kept, without credit going back, so that at most one window waits. It goes to
its endpoint when that is added, and is ended (FIN) when no bind is under way any more. A stop of an
endpoint that is not known yet is remembered for as long.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import msgspec

from portway.agent.bound import Bound
from portway.errors import Error
from portway.pipe import Pipe, Sink
from portway.wire.messages import ProxyHeader


class Held:
    """A Sink that keeps what comes until it knows the Sink that is meant, then passes all on."""

    __slots__ = ("_data", "_ended", "_reset", "_room", "_sink", "header", "pipe")

    def __init__(self, header: ProxyHeader, pipe: Pipe) -> None:
        """Hold the connection that came with this header."""
        self.header = header
        self.pipe = pipe
        self._sink: Sink | None = None
        self._data = bytearray()
        self._ended = False
        self._room = False
        self._reset: int | None = None

    def give_to(self, endpoint: Bound | None) -> None:
        """Hand all over to the endpoint; without one, or if it refuses, end it and drop its bytes."""
        if self._reset is not None:
            return
        sink = endpoint.take(self.header, self.pipe) if endpoint else None
        self._sink = sink or Dropped(self.pipe)
        if sink is None:
            self.pipe.end()
        data, self._data = self._data, bytearray()
        if data:
            self._sink.on_data(memoryview(data))
        if self._ended:
            self._sink.on_end()
        elif self._room:
            self._sink.on_room()

    def on_data(self, view: memoryview) -> None:
        """Keep or pass on."""
        if self._sink is None:
            self._data += view
        else:
            self._sink.on_data(view)

    def on_end(self) -> None:
        """Keep or pass on."""
        if self._sink is None:
            self._ended = True
        else:
            self._sink.on_end()

    def on_reset(self, code: int) -> None:
        """Keep or pass on."""
        if self._sink is None:
            self._reset = code
            self._data.clear()
        else:
            self._sink.on_reset(code)

    def on_room(self) -> None:
        """Keep or pass on."""
        if self._sink is None:
            self._room = True
        else:
            self._sink.on_room()


class Dropped:
    """A Sink that throws away what comes and lets the peer finish."""

    __slots__ = ("_pipe",)

    def __init__(self, pipe: Pipe) -> None:
        """Drop what this pipe delivers."""
        self._pipe = pipe

    def on_data(self, view: memoryview) -> None:
        """Throw it away; credit goes back, or the peer could not finish."""
        self._pipe.consume(len(view))

    def on_end(self) -> None:
        """Nothing is left to do."""

    def on_reset(self, code: int) -> None:
        """Nothing is left to do."""

    def on_room(self) -> None:
        """Nothing is written here."""


class Table:
    """The endpoints that stand, by bind id."""

    def __init__(self) -> None:
        """Begin empty."""
        self._endpoints: dict[str, Bound] = {}
        self._held: list[Held] = []
        self._stopped: dict[str, Error] = {}
        self._binding = 0

    def __iter__(self) -> Iterator[Bound]:
        """Iterate over a copy, oldest first."""
        return iter(list(self._endpoints.values()))

    def __len__(self) -> int:
        """How many stand."""
        return len(self._endpoints)

    def __repr__(self) -> str:
        """Show what stands and who waits."""
        return f"<Table {list(self._endpoints)} binding={self._binding} held={len(self._held)}>"

    @contextmanager
    def binding(self) -> Generator[None]:
        """Say that a bind is under way for as long as the block runs."""
        self._binding += 1
        try:
            yield
        finally:
            self._binding -= 1
            if not self._binding:
                self._stopped.clear()
                for held in self._take_held():
                    held.give_to(None)

    def add(self, endpoint: Bound) -> None:
        """Add an endpoint; it gets at once those of its visitors who are already here.

        One that the service has stopped meanwhile ends at once.
        """
        stopped = self._stopped.pop(endpoint.id, None)
        if stopped is not None:
            endpoint.finish(stopped)
            return
        self._endpoints[endpoint.id] = endpoint
        for held in self._take_held(endpoint.id):
            held.give_to(endpoint)

    def rename(self, endpoint: Bound, bind_id: str) -> None:
        """Know an endpoint by another id from now on: the service has given it one."""
        if self._endpoints.get(endpoint.id) is not endpoint:
            return
        ids = [bind_id if each is endpoint else old for old, each in self._endpoints.items()]
        self._endpoints = dict(zip(ids, self._endpoints.values(), strict=True))
        endpoint.answer = msgspec.structs.replace(endpoint.answer, id=bind_id)
        if bind_id in self._stopped:
            self.stop(bind_id, self._stopped.pop(bind_id))
        for held in self._take_held(bind_id):
            held.give_to(endpoint)

    def stop(self, bind_id: str, why: Error) -> Bound | None:
        """Remove and end what the service has stopped; None when it is not known, or not yet."""
        endpoint = self._endpoints.pop(bind_id, None)
        if endpoint is not None:
            endpoint.finish(why)
        elif self._binding:
            self._stopped[bind_id] = why
        return endpoint

    def remove(self, endpoint: Bound) -> bool:
        """Remove it; False when it was gone already."""
        if self._endpoints.get(endpoint.id) is not endpoint:
            return False
        del self._endpoints[endpoint.id]
        return True

    def take(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        """Say who takes a visitor's connection; None: nobody, it is to be ended."""
        endpoint = self._endpoints.get(header.id)
        if endpoint is not None:
            return endpoint.take(header, pipe)
        if not self._binding:
            return None
        held = Held(header, pipe)
        self._held.append(held)
        return held

    def clear(self) -> list[Bound]:
        """Remove and return all."""
        endpoints = list(self._endpoints.values())
        self._endpoints.clear()
        return endpoints

    def _take_held(self, bind_id: str | None = None) -> list[Held]:
        """Take out those who wait for this bind id, or all."""
        taken = [held for held in self._held if bind_id in (None, held.header.id)]
        self._held = [held for held in self._held if held not in taken]
        return taken
