"""The API's edges: made, shown, changed; what they have is exclusive."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.api import Api
from tests.kit.tenants import two_apis


@pytest.fixture
async def apis(tmp_path: Path) -> AsyncGenerator[tuple[Api, Api]]:
    async with two_apis(tmp_path) as pair:
        yield pair


@pytest.fixture
def ann(apis: tuple[Api, Api]) -> Api:
    return apis[0]


async def address(api: Api) -> str:
    return str((await api.post("/reserved_addrs", {}))["addr"])


async def made(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post(path, body)
    assert answer.status == 201, answer.json
    return dict(answer.json)


@pytest.mark.row("T-080", "T-084", "T-085", "T-086", "ED-01")
async def test_one_step_makes_an_edge_with_its_address_and_its_backend(ann: Api) -> None:
    edge = await made(ann, "/edges/tcp?whole=true", {"description": "ssh", "metadata": "m"})
    (hostport,) = edge["hostports"]
    (addr,) = (await ann.get("/reserved_addrs"))["reserved_addrs"]
    assert addr["addr"] == hostport
    backend = (await ann.get(f"/backends/tunnel_group/{edge['backend']['backend']['id']}")).json
    assert backend["labels"] == {"edge": edge["id"]}
    assert backend["tunnels"] == []
    assert edge == {
        "id": edge["id"],
        "uri": f"{ann.context.settings.api_url}/edges/tcp/{edge['id']}",
        "created_at": edge["created_at"],
        "description": "ssh",
        "metadata": "m",
        "hostports": [hostport],
        "backend": {"enabled": True, "backend": {"id": backend["id"], "uri": backend["uri"]}},
        "ip_restriction": None,
        "traffic_policy": None,
    }
