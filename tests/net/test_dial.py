"""Making connections."""

import asyncio
import socket
from pathlib import Path

import pytest

from portway.errors import ConnectError
from portway.net.dial import dial, dial_unix
from portway.net.listen import listen


class Peer(asyncio.Protocol):
    """Tells when it was lost."""

    def __init__(self) -> None:
        """Make one."""
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell."""
        self.lost.set()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_dial(host: str) -> None:
    """By address and by name; small writes are not held back."""
    peer = Peer()
    listener = await listen("127.0.0.1", 0, lambda: peer)
    transport, protocol = await dial(host, listener.port, Peer)
    assert transport.get_extra_info("peername") == ("127.0.0.1", listener.port)
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    transport.close()
    await protocol.lost.wait()
    await peer.lost.wait()
    listener.close()


async def test_localhost_is_asked_for_in_both_families() -> None:
    """A service that listens on IPv6 alone is found; one that is nowhere is told once."""
    peer = Peer()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as kept:
        kept.bind(("127.0.0.1", 0))  # so that nobody else listens there
        port = int(kept.getsockname()[1])
        listener = await listen("::1", port, lambda: peer)
        transport, protocol = await dial("localhost", port, Peer)
        assert transport.get_extra_info("peername")[:2] == ("::1", port)
        transport.close()
        await protocol.lost.wait()
        await peer.lost.wait()
        listener.close()
        with pytest.raises(ConnectError) as caught:
            await dial("localhost", port, Peer)
    assert str(caught.value) == f"cannot connect to localhost:{port}: connection refused"


async def test_dial_unix(tmp_path: Path) -> None:
    """The same over a Unix socket."""
    path = str(tmp_path / "s")
    server = await asyncio.get_running_loop().create_unix_server(Peer, path)
    transport, protocol = await dial_unix(path, Peer)
    transport.close()
    await protocol.lost.wait()
    server.close()
    await server.wait_closed()


async def test_refused() -> None:
    """The text names the place and the reason, once each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        port = taken.getsockname()[1]
        with pytest.raises(ConnectError) as caught:
            await dial("127.0.0.1", port, Peer)
    assert caught.value.step == "tcp"
    assert str(caught.value) == f"cannot connect to 127.0.0.1:{port}: connection refused"
    assert isinstance(caught.value.__cause__, OSError)


async def test_no_such_unix_socket(tmp_path: Path) -> None:
    """Likewise."""
    with pytest.raises(ConnectError, match="no such file or directory"):
        await dial_unix(str(tmp_path / "absent"), Peer)


@pytest.mark.parametrize(
    ("host", "port"),
    [("name.invalid", 80), ("a" * 64 + ".example", 80), ("127.0.0.1", 70_000), ("127.0.0.1", 0)],
)
async def test_what_cannot_be_an_address(host: str, port: int) -> None:
    """Resolver errors, over-long labels and ports out of range are ConnectErrors too."""
    with pytest.raises(ConnectError, match="cannot connect to"):
        await dial(host, port, Peer)


async def test_timeout() -> None:
    """A full backlog answers nothing: the dial gives up, and leaves no socket behind."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        try:
            with pytest.raises(ConnectError, match=r"no answer within 0\.05 s"):
                await dial("127.0.0.1", deaf.getsockname()[1], Peer, timeout=0.05)
        finally:
            for filler in fillers:
                filler.close()


async def test_cancelling_leaves_no_socket() -> None:
    """Cancelled in the midst of connecting; the guard on sockets does the checking."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        task = asyncio.get_running_loop().create_task(
            dial("127.0.0.1", deaf.getsockname()[1], Peer, timeout=None)
        )
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for filler in fillers:
            filler.close()
        for _ in range(3):
            await asyncio.sleep(0)
