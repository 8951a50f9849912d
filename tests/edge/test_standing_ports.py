"""Ports of edges and of cloud endpoints: opened when they can be, and never left open."""

import asyncio
import socket

import pytest
from tests.kit.edges import ACCOUNT, edge, tell
from tests.kit.eventually import eventually_async
from tests.kit.service import Running, running_worker

from portway.edge import standing_ports
from portway.model.view import CloudEndpointItem, ViewItem

DENY = "on_tcp_connect: [{actions: [{type: deny}]}]"
FORMS = pytest.mark.parametrize("form", ["edge", "cloud"])


def standing(service: Running, form: str) -> tuple[int, list[ViewItem]]:
    """Return a port and the rows of what stands there; the last of them is its address."""
    port = service.worker.config.tcp_ports[0]
    url = f"tcp://localhost:{port}"
    if form == "edge":
        return port, edge("tcp", [url])
    return port, [CloudEndpointItem("ep_c", ACCOUNT, url, "public", False, DENY)]


def opening() -> bool:
    """Tell whether a port is being opened."""
    return any(task.get_name().startswith("port of ") for task in asyncio.all_tasks())


async def settled() -> bool:
    """Tell whether none is."""
    return not opening()


@FORMS
@pytest.mark.row("T-081")
async def test_a_port_that_another_program_has_is_opened_once_it_is_free(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_ports, "RETRY", 0.01)
    async with running_worker() as service:
        port, rows = standing(service, form)
        with socket.create_server(("127.0.0.1", port)):
            tell(service, rows)
            await asyncio.sleep(0)
            assert opening()
        await eventually_async(settled, "the port is open")
        assert repr(service.worker.ports) == f"<TcpPorts [{port}]>"


@FORMS
@pytest.mark.row("T-083")
async def test_what_has_gone_before_its_port_was_opened_leaves_none_open(form: str) -> None:
    async with running_worker() as service:
        _, rows = standing(service, form)
        tell(service, rows)
        assert opening()
        service.control.delete(rows[-1])
        await eventually_async(settled, "nothing is opened any more")
        assert repr(service.worker.ports) == "<TcpPorts []>"
