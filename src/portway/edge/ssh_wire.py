"""The socket of one SSH connection: what lies between asyncio's transport and asyncssh.

asyncssh writes two small pieces for every packet, never looks whether its transport is full, and keeps what
arrives while it waits for something of its own. So this stands in between, a protocol to the socket and a
transport to asyncssh:

- *out*: pieces are joined, one write for each turn of the loop. Above ``HIGH`` bytes that the socket has not
  taken, pipes are parked; they are woken in turn. What asyncssh answers by itself is not held back, so above
  ``FLOOD`` the client is not read from until it has taken its answers: a flood punishes its sender.
- *in*: handed on in pieces, because asyncssh copies what is left of one for every packet in it. A stranger
  may send ``STRANGER`` bytes in all: before they have authenticated, clients need to say little.

``written`` counts what asyncssh has really written. While keys are exchanged anew it writes nothing and keeps
everything: a pipe that gave it bytes which did not come out here parks until something does.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH: Final = 262_144
"""Bytes that wait for the socket, above which pipes are parked."""

FLOOD: Final = 1 << 20
"""The same, above which the client is not read from."""

STRANGER: Final = 262_144
"""Bytes that a client may send before it has authenticated."""

PIECE: Final = 32_768
"""Bytes that asyncssh is given at a time."""

JOIN: Final = 65_536
"""Bytes that are joined into one write at most."""


LINGER: Final = 2.0
"""Seconds that a client has to take our last words."""


class Parked(Protocol):
    """Who waits until the socket takes more."""

    def wake(self) -> None:
        """Try again."""
        ...


class SshWire(asyncio.Transport, asyncio.Protocol):
    """One connection's socket. ``arrived`` is told when it is there, and gives who speaks SSH on it."""

    def __init__(self, arrived: "Callable[[SshWire], asyncio.Protocol | None]") -> None:
        """Wait for the connection; None from ``arrived`` cuts it."""
        super().__init__()
        self._arrived = arrived
        self._inner: asyncio.Protocol | None = None
        self._socket: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._held = 0
        self._scheduled = False
        self._blocked = False
        self._deaf = False
        self._parked: deque[Parked] = deque()
        self._waking = False
        self._left = STRANGER
        self.trusted = False
        """Set when the client has authenticated."""
        self.over = False
        """The connection is gone, or cut by us."""
        self.written = 0
        """Bytes that asyncssh has written."""
        self._gone = asyncio.Event()
        self._cut: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        """Show the state and what waits."""
        state = "over" if self.over else "full" if self.full else "open"
        return f"<SshWire {state} parked={len(self._parked)} written={self.written}>"

    @property
    def full(self) -> bool:
        """The socket does not take more now."""
        return self._blocked

    def park(self, pipe: Parked) -> None:
        """Wake a pipe when there is room again, after those that wait already."""
        if pipe not in self._parked:
            self._parked.append(pipe)

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._gone.wait()

    # -- towards the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or be cut."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(high=HIGH)
        self._inner = self._arrived(self)
        if self._inner is None:
            self.abort()
        else:
            self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes on, unless a stranger has sent too many."""
        if not self.trusted:
            self._left -= len(data)
            if self._left < 0:
                self.abort()
        for at in range(0, len(data), PIECE):
            if self.over or self._inner is None:
                return
            self._inner.data_received(data[at : at + PIECE])
        self._heed()

    def eof_received(self) -> bool:
        """The client is gone: there is no half of an SSH connection."""
        if self._inner is not None:
            self._inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell asyncssh, once."""
        self.over = True
        self._out.clear()
        self._parked.clear()
        self._gone.set()
        if self._cut is not None:
            self._cut.cancel()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The socket takes more: whoever is parked has a turn, and the client is read from again."""
        self._blocked = False
        if self._deaf and self._socket is not None:
            self._deaf = False
            self._socket.resume_reading()
        self._wake()

    # -- towards asyncssh

    def write(self, data: Any) -> None:
        """Take a piece of a packet."""
        if self.over or self._socket is None:
            return
        self._out.append(bytes(data))
        self._held += len(data)
        self.written += len(data)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_later)
        if self._held >= JOIN:
            self._flush()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the socket's transport knows."""
        return default if self._socket is None else self._socket.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether it is over."""
        return self.over

    def close(self) -> None:
        """Write what was taken, then close. A client that does not take it is cut after a moment."""
        if self._socket is None or self.over:
            return
        self._flush()
        self.over = True
        self._parked.clear()
        self._socket.close()
        self._cut = asyncio.get_running_loop().call_later(LINGER, self._socket.abort)

    def abort(self) -> None:
        """The same: asyncssh aborts right after it has said why, and those words must not be lost."""
        self.close()

    # -- inside

    def _flush_later(self) -> None:
        self._scheduled = False
        self._flush()
        self._wake()
        self._heed()

    def _flush(self) -> None:
        if self._out and self._socket is not None and not self.over:
            joined = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self._held = 0
            self._socket.write(joined)

    def _wake(self) -> None:
        """Give everybody who waits one turn, as long as there is room."""
        if self._waking:
            return
        self._waking = True
        try:
            for _ in range(len(self._parked)):
                if self._blocked or self.over or not self._parked:
                    return
                self._parked.popleft().wake()
        finally:
            self._waking = False

    def _heed(self) -> None:
        """Stop reading from a client that does not take its answers."""
        if not self._blocked or self._deaf or self._socket is None or self.over:
            return
        if self._socket.get_write_buffer_size() > FLOOD:
            self._deaf = True
            self._socket.pause_reading()
