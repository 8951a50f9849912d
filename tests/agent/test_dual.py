"""The same line with ``await`` in a loop and without in a script."""

import pytest
from tests.kit.fake_service import FakeService, agent_of
from tests.kit.service import running_worker
from tests.kit.threads import ServiceThread

from portway import EndpointListener, SyncAgent
from portway.agent.dual import Listening
from portway.agent.sync import farewell


def never() -> object:
    raise AssertionError("this is the other world")


async def test_inside_a_loop_it_is_to_be_awaited(service: FakeService) -> None:
    async with agent_of(service) as agent:
        listening = Listening(lambda: agent.listen("tcp://"), never)  # pyright: ignore[reportArgumentType]
        assert repr(listening) == "<Listening: to be awaited>"
        assert service.arrived == []
        for use in (listening.accept, listening.done, listening.wait, listening.close):
            with pytest.raises(RuntimeError, match="awaited first"):
                use()
        assert isinstance(await listening, EndpointListener)


def test_in_a_script_it_is_done() -> None:
    with ServiceThread(running_worker) as edge:
        with SyncAgent(authtoken="good", connect_url=edge.connect_url, connect_cas=edge.ca) as agent:
            listening = Listening(never, lambda: agent.listen("tcp://"))  # pyright: ignore[reportArgumentType]
            assert listening.id == listening.endpoint.id
            assert str(listening.url) in repr(listening)
            assert listening.wait(timeout=0.01) is False
            assert not listening.done()
            with pytest.raises(RuntimeError, match="online already"):
                listening.__await__()
            listening.close(timeout=20)
            assert listening.done()
        farewell()
