"""Joins metrics, health and traces to a service that runs."""

import asyncio
import logging
from typing import TYPE_CHECKING

from portway.edge.counters import snapshot
from portway.edge.tracer import Tracer
from portway.net.listen import Listener, listen
from portway.server import metrics, tracing
from portway.server.edge_config import service_version
from portway.server.meter import Meter
from portway.server.private_pages import PrivatePages

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from portway.server.config import EdgeConfig
    from portway.server.event_feed import EventFeed
    from portway.server.link import ControllerLink
    from portway.server.worker import Worker

_log = logging.getLogger(__name__)


class Watching:
    """Metrics, health and traces of one service, as far as they are wanted."""

    def __init__(
        self, config: "EdgeConfig", worker: "Worker", link: "ControllerLink", feed: "EventFeed"
    ) -> None:
        """Take what is watched."""
        self._config = config
        self._worker = worker
        self._link = link
        self._feed = feed
        self._meter: Meter | None = None
        self._tracer: Tracer | None = None
        self._certificate = b""
        self.listener: Listener | None = None
        self.state = "starting"
        """Why the service is not ready; "" when it is."""

    def __repr__(self) -> str:
        """Show where the pages are."""
        return f"<Watching {self.listener!r} {self.state or 'ready'}>"

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where the pages are, if they are anywhere."""
        address = self._config.listen_metrics
        return () if address is None or self.listener is None else ((address.host, self.listener.port),)

    async def open(self, stack: "AsyncExitStack") -> None:
        """Listen, and begin to watch. Raises ConfigError: an address is taken, or an extra is missing."""
        address = self._config.listen_metrics
        if address is not None:
            self._meter = Meter()
            self._feed.observers.append(self._meter)
            pages = PrivatePages(self.page, self.why_not_ready, self._worker.tasks)
            self.listener = await listen(address.host, address.port, pages.accept, what="--listen-metrics")
            stack.callback(self.listener.close)
            _log.info("metrics are at http://%s:%d/metrics", address.host, self.listener.port)
        if self._config.otlp_traces:
            sampling = tracing.sampling()
            traces = await asyncio.to_thread(tracing.start, self._config.otlp_traces, sampling)
            self._tracer = Tracer(sampling.share, heeds=sampling.heeds, joins=self._config.trust_forwarded)
            self._feed.observers.append(traces)
            stack.callback(traces.close)

    def started(self, chain: bytes) -> None:
        """The edge is there, with a certificate: its requests are traced from now on, if they are to be."""
        self._certificate = chain
        if self._worker.edge is not None:
            self._worker.edge.tracer = self._tracer

    def why_not_ready(self) -> str:
        """Say why the service should get no visitors and agents now; "" if it should."""
        return self.state or ("" if self._link.is_up else "the control plane is away")

    async def page(self) -> bytes:
        """Make the page of metrics. Another thread does it: it may be long."""
        gateway = self._worker.gateway
        numbers = metrics.Numbers(
            endpoints=snapshot(self._worker.registry),
            sessions=len(gateway.legs) if gateway is not None else 0,
            taken=self._feed.taken,
            dropped=self._feed.dropped,
            control=await self._link.numbers(),
            refused=dict(self._feed.refused),
            fetches=dict(self._worker.fetches.counts) if self._worker.fetches is not None else {},
            certificate=self._certificate,
            controller_pid=self._link.pid if self._link.is_up else 0,
            controller_up=self._link.is_up,
            controller_starts=self._link.starts,
            version=service_version(),
            meter=self._meter,
        )
        return await asyncio.to_thread(metrics.page, numbers)
