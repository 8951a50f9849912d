"""Edges as the view tells an edge of them, and labelled tunnels, for tests of the data plane."""

import json
from typing import Any

from portway.model.view import BackendItem, EdgeEndpointItem, EdgeItem, EdgeRouteItem, ViewItem
from portway.session import StreamType
from tests.kit.agent import Agent
from tests.kit.service import Running

ACCOUNT = "ac_good"
LABELS = {"edge": "one"}


def backend(
    form: str = "tunnel_group", number: int = 1, account_id: str = ACCOUNT, **spec: Any
) -> BackendItem:
    """Make a backend: a tunnel group of LABELS if nothing else is said."""
    prefixes = {
        "tunnel_group": "tg",
        "static": "sc",
        "weighted": "wd",
        "failover": "fo",
        "http_response": "hr",
    }
    if form == "tunnel_group":
        spec.setdefault("labels", LABELS)
    return BackendItem(f"bkd{prefixes[form]}_{number}", account_id, form, json.dumps(spec))


def edge(
    form: str, urls: list[str], number: int = 1, account_id: str = ACCOUNT, **modules: Any
) -> list[ViewItem]:
    """Make an edge with its addresses. ``backend="…"`` stands for the whole module."""
    edge_id = f"edg_{form}_{number}"
    return [
        EdgeItem(edge_id, account_id, form, json.dumps(_modules(modules))),
        *(
            EdgeEndpointItem(f"ep_{form}_{number}_{place}", account_id, edge_id, url)
            for place, url in enumerate(urls)
        ),
    ]


def route(path: str, number: int = 1, match_type: str = "path_prefix", **modules: Any) -> EdgeRouteItem:
    """Make a route of the first https edge."""
    text = json.dumps(_modules(modules))
    return EdgeRouteItem(f"edghtsrt_{number}", ACCOUNT, "edg_https_1", match_type, path, text)


def _modules(modules: dict[str, Any]) -> dict[str, Any]:
    if isinstance(modules.get("backend"), str):
        modules["backend"] = {"enabled": True, "backend_id": modules["backend"]}
    if isinstance(modules.get("traffic_policy"), str):
        modules["traffic_policy"] = {"enabled": True, "value": modules["traffic_policy"]}
    return modules


def tell(service: Running, *items: ViewItem | list[ViewItem]) -> None:
    """Tell the edge of rows."""
    for each in items:
        service.control.view.apply(each if isinstance(each, list) else [each])


async def serve(agent: Agent, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Have an agent serve labels."""
    asked = {"Labels": LABELS if labels is None else labels, "ForwardsTo": "test", "ForwardsProto": ""}
    return await agent.call(StreamType.BIND_LABELS, asked | more)


async def opened(service: Running, port: int) -> int:
    """Wait until an edge's port is open; return it."""
    assert service.worker.ports is not None
    await service.worker.ports.open(port)
    return port
