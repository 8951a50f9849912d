"""A gibibyte unharmed, and readers that stall: memory stays flat, others are served."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from tests.kit.eventually import PAUSE, eventually
from tests.kit.product import Service, running_agent
from tests.kit.sockets import PIECE, connected, echo_all, receive_all, send_noise, upstream

pytestmark = pytest.mark.xdist_group("bulk")

GIB = 1 << 30
MIB = 1 << 20

STALLED = 8
"""Connections that stall at once."""

STILL = int(1.0 / PAUSE)
"""Looks without any progress after which a flow counts as stalled: about a second."""

GROWTH = 24 * MIB
"""Bytes that either process may grow by while they stall. A window is 256 KiB, at most 1.5 MiB after it
was raised, and is held at one of the two ends; eight full ones and the sockets' own buffers fit."""


@pytest.mark.row("T-001", "S5", "S6", "S25", "G-125")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [GIB // 4, pytest.param(GIB, marks=pytest.mark.long)])
def test_very_much_there_and_back_with_equal_hashes(service: Service, size: int) -> None:
    with (
        upstream(echo_all) as port,
        running_agent(service, "tcp", str(port)) as (_, url),
        connected(_port(url)) as visitor,
        ThreadPoolExecutor(1) as pool,
    ):
        sending = pool.submit(send_noise, visitor, size, 1)
        received, received_hash = receive_all(visitor)
        sent_hash = sending.result()
    assert received == size
    assert received_hash == sent_hash


class Flow:
    """How much the upstreams could send or the visitors could send, before nobody read any more."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.bytes = 0
        self._lock = threading.Lock()
        self._seen = -1
        self._still = 0

    def pour(self, into: socket.socket) -> None:
        """Send for as long as anybody takes it."""
        piece = bytes(64 * 1024)
        while True:
            count = into.send(piece)
            with self._lock:
                self.bytes += count

    def stalled(self) -> bool:
        """Say whether nothing has moved for the last looks."""
        self._still = self._still + 1 if self.bytes == self._seen else 0
        self._seen = self.bytes
        return self._still >= STILL


@pytest.mark.row("S5", "S6", "A7")
@pytest.mark.parametrize("direction", ["visitor", "upstream"])
def test_a_stalled_reader_keeps_memory_flat_and_holds_up_nobody(service: Service, direction: str) -> None:
    flow = Flow()
    let_go = threading.Event()

    def handle(connection: socket.socket) -> None:
        first = connection.recv(1)
        if first == b"e":
            echo_all(connection)
        elif direction == "visitor":
            flow.pour(connection)
        else:
            let_go.wait()

    with (
        upstream(handle) as port,
        running_agent(service, "tcp", str(port)) as (agent, url),
        ExitStack() as open_,
    ):
        _echo(url)  # both processes have done everything once
        before = service.rss(), agent.rss()
        visitors = [open_.enter_context(connected(_port(url))) for _ in range(STALLED)]
        for visitor in visitors:
            visitor.sendall(b"s")
        if direction == "upstream":
            for visitor in visitors:
                threading.Thread(target=_until_cut, args=(flow, visitor), daemon=True).start()
        eventually(flow.stalled, "the flow stalls", timeout=60)
        _echo(url)
        after = service.rss(), agent.rss()
        let_go.set()
        for visitor in visitors:
            with suppress(OSError):  # one that the other end has closed already
                visitor.shutdown(socket.SHUT_RDWR)
    growth = [now - then for now, then in zip(after, before, strict=True)]
    print(f"stalled at the {direction} after {flow.bytes >> 20} MiB; growth of service, agent: {growth}")
    assert flow.bytes > STALLED * 128 * 1024, "nothing was sent, so nothing was shown"
    assert max(growth) < GROWTH


def _until_cut(flow: Flow, visitor: socket.socket) -> None:
    try:
        flow.pour(visitor)
    except OSError:
        return


def _echo(url: str) -> None:
    with connected(_port(url)) as visitor, ThreadPoolExecutor(1) as pool:
        visitor.sendall(b"e")
        sending = pool.submit(send_noise, visitor, 8 * PIECE, 2)
        _, received_hash = receive_all(visitor)
        assert received_hash == sending.result()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port
