"""Metrics, health and traces joined to a service: what the system's tests do not see."""

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from portway.control.measures import ControlNumbers
from portway.control.ports import Delivered
from portway.edge.registry import Registry
from portway.net.tasks import Tasks
from portway.server import tracing
from portway.server.event_feed import EventFeed
from portway.server.parsers import Address
from portway.server.watching import Watching


class _Log:
    def emit(self, event: object) -> None:
        """Say nothing."""


class _Link:
    is_up = True
    starts = 2

    pid = 0

    async def numbers(self) -> ControlNumbers:
        return ControlNumbers(destinations={"ed_1": Delivered(delivered=3)})


@pytest.mark.row("EV-19")
async def test_a_service_is_ready_when_both_planes_are() -> None:
    async with Tasks() as tasks, AsyncExitStack() as stack:
        config: Any = SimpleNamespace(listen_metrics=Address("127.0.0.1", 0), otlp_traces="")
        worker: Any = SimpleNamespace(gateway=None, registry=Registry(), tasks=tasks, fetches=None)
        link, feed = _Link(), EventFeed(_Log())
        watching = Watching(config, worker, cast("Any", link), feed)
        await watching.open(stack)
        assert len(feed.observers) == 1
        assert watching.listener is not None
        assert watching.addresses == (("127.0.0.1", watching.listener.port),)
        assert watching.why_not_ready() == "starting"
        watching.state = ""
        assert watching.why_not_ready() == ""
        link.is_up = False
        assert watching.why_not_ready() == "the control plane is away"
        page = (await watching.page()).decode()
        assert 'portway_event_deliveries_total{destination="ed_1",result="delivered"} 3.0' in page
        assert "portway_controller_up 0.0" in page


async def test_requests_are_traced_once_the_edge_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.SAMPLER, "traceidratio")
    monkeypatch.setenv(tracing.SHARE, "0.5")
    async with Tasks() as tasks, AsyncExitStack() as stack:
        url = "http://127.0.0.1:9/v1/traces"
        config: Any = SimpleNamespace(listen_metrics=None, otlp_traces=url, trust_forwarded=False)
        edge = SimpleNamespace(tracer=None)
        worker: Any = SimpleNamespace(gateway=None, registry=Registry(), tasks=tasks, edge=edge)
        watching = Watching(config, worker, cast("Any", _Link()), EventFeed(_Log()))
        await watching.open(stack)
        assert edge.tracer is None
        watching.started(b"")
        assert repr(edge.tracer) == "<Tracer share=0.5 heeds=False joins=False>"


async def test_nothing_is_opened_unless_it_is_wanted() -> None:
    async with Tasks() as tasks, AsyncExitStack() as stack:
        config: Any = SimpleNamespace(listen_metrics=None, otlp_traces="")
        worker: Any = SimpleNamespace(gateway=None, registry=Registry(), tasks=tasks, fetches=None)
        feed = EventFeed(_Log())
        watching = Watching(config, worker, cast("Any", _Link()), feed)
        await watching.open(stack)
        assert (watching.listener, watching.addresses) == (None, ())
        assert feed.observers == []
