"""A channel of an SSH connection as a Pipe: the contract, and what SSH adds to it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.kit.pipes import Bell, End, Ends, PipeContract, Recorder
from tests.kit.ssh import SshService, client_pipe, running_ssh

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
