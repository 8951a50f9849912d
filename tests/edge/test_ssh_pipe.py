"""A channel of an SSH connection as a Pipe: the contract, and what SSH adds to it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.kit.fault_proxy import fault_proxy
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder, spin_until, turns
from tests.kit.ssh import Client, SshService, client_pipe, running_ssh

from portway.edge.ssh_pipe import SshPipe
from portway.wire.messages import ProxyHeader

HEADER = ProxyHeader("ep_1", "192.0.2.7:4711", "tcp", "0", False)


class Far:
    """The client's end: one channel, which appears when it is opened."""

    def __init__(self) -> None:
        self.sink = Recorder(Bell())
        self.came: asyncio.Future[SshPipe] = asyncio.get_running_loop().create_future()
        self.visitor = ("", 0)

    def serve(self, host: str, port: int) -> SshPipe:
        self.visitor = host, port
        pipe = client_pipe(self.sink)
        self.sink.pipe = pipe
        self.came.set_result(pipe)
        return pipe


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[SshService]:
    async with running_ssh(tmp_path) as running:
        yield running


@pytest.mark.row("T-022")
class TestSshPipe(PipeContract):
    """The contract, between the service and an SSH client over a real socket."""

    carries_codes = False

    @pytest_asyncio.fixture
    async def ends(self, service: SshService) -> AsyncIterator[Ends]:
        far = Far()
        async with service.client(serve=far.serve):
            bell = far.sink.bell
            near = Recorder(bell)
            pipe = service.session.open_proxy(HEADER, near)
            yield Ends(End(pipe, near), End(await far.came, far.sink), bell)


async def test_a_client_that_reads_nothing_parks_all_its_visitors(tmp_path: Path) -> None:
    """Its windows are wide and its socket is full: nothing is piled up, and nobody is forgotten later."""
    async with running_ssh(tmp_path) as service, fault_proxy(service.port) as proxy:
        connection = await service.connect(port=proxy.port)
        client = Client(connection)
        fars: list[Far] = []

        def serve(host: str, port: int) -> SshPipe:
            fars.append(Far())
            return fars[-1].serve(host, port)

        await client.forward("tcp", "localhost", 0, serve)
        bell = Bell()
        nears = [Recorder(bell) for _ in range(12)]
        pipes = [service.session.open_proxy(HEADER, near) for near in nears]
        assert all(pipe.send(b"x") for pipe in pipes)
        await spin_until(lambda: sum(len(far.sink.data) for far in fars) == len(pipes))
        proxy.mode = "stall"
        taken = [bytearray(b"x") for _ in pipes]
        for _ in range(3):  # the kernel takes some of it, too
            for pipe, so_far in zip(pipes, taken, strict=True):
                if pipe.lend() is not None:
                    so_far += End(pipe, Recorder(bell)).put_until_parked(4 << 20)
            await turns(50)
        waiting = service.session.wire.written
        assert not any(pipe.send(b"more") for pipe in pipes)
        assert service.session.wire.written == waiting
        assert service.session.wire.full
        proxy.mode = "pass"
        await spin_until(
            lambda: (
                [len(far.sink.data) for far in fars] == [len(so_far) for so_far in taken]
                and all(near.rooms for near in nears)
            )
        )
        connection.abort()
        await connection.wait_closed()
