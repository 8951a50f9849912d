"""All SSH sessions of a process: commands, the end of the service."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.kit.pipes import Bell, Recorder
from tests.kit.ssh import running_ssh

from portway.edge.ports import Limits
from portway.errors import Error
from portway.model.event import AgentSessionStarted, AgentSessionStopped, EndpointOnline
from portway.wire.messages import ProxyHeader

HEADER = ProxyHeader("ep_1", "192.0.2.7:4711", "tcp", "0", False)


async def test_a_session_that_is_not_there(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service:
        with pytest.raises(Error) as lost:
            await service.gateway.command("ts_none", "stop")
        assert lost.value.code == "ERR_NGROK_810"


async def test_the_service_ends_and_names_wait(tmp_path: Path) -> None:
    """Who is being served may finish, the client is told, and its name is kept for its account."""
    async with running_ssh(tmp_path, limits=Limits(drain=20.0)) as service:
        async with service.client("http", "mine.portway.localhost", 443) as client:
            url = service.events.of(EndpointOnline)[0].url
            bell = Bell()
            sink = Recorder(bell)
            pipe = service.session.open_proxy(HEADER, sink)
            draining = asyncio.ensure_future(service.worker.drain())
            await bell.until(lambda: bool(sink.resets))  # this client refuses every channel
            assert pipe.send(b"x") == 0
            await draining
            await service.worker.close()
            status, said = await client.ended()
            assert (status, "shutting down" in said) == (1, True)
        assert service.control.names[url].held_until is not None
        (started,), (stopped,) = (
            service.events.of(AgentSessionStarted),
            service.events.of(AgentSessionStopped),
        )
        assert started.ingress_hostname == stopped.ingress_hostname == "127.0.0.1"
        assert started.session_id == stopped.session_id


async def test_a_client_that_never_lets_go_is_cut_after_the_drain(tmp_path: Path) -> None:
    async with running_ssh(tmp_path, limits=Limits(drain=0.1)) as service:
        waiting = asyncio.get_running_loop().create_future()

        async def never(_host: str, _port: int) -> None:
            await waiting

        async with service.client("http", serve=never):
            sink = Recorder(Bell())
            service.session.open_proxy(HEADER, sink)
            await service.worker.drain()
            assert not sink.resets
            await service.worker.close()
            assert sink.resets == [14]
        waiting.cancel()


def test_its_library_is_not_loaded_without_it() -> None:
    """It takes half a second, which a service without SSH clients shall not pay."""
    program = "import sys, portway.server.service; sys.exit('asyncssh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
