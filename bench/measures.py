"""What is measured: the columns, and how each cell is filled."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import processes
from bench.contenders import HELD, Contender, folder, serve
from bench.processes import first_line, loaded, loading, module, result, start

BESIDE: Final = 4.0
"""Seconds of small requests beside a bulk stream."""

ALONE: Final = 1.5
"""Seconds of the same without it."""

LEAD: Final = 0.7
"""Seconds that the bulk stream runs before and after them."""

AGENTS: Final = 500
"""Idle agents of ours that are held in one process."""

AGENTS_OFFICIAL: Final = 200
"""Idle sessions of the official Python SDK."""

BEAT: Final = 11.0
"""Seconds that idle agents are held: each sends and answers a heartbeat meanwhile."""

STARTS: Final = 3
"""Times that the service is started; the quickest counts."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One column of CPU seconds: what the load is told, and through which entry."""

    title: str
    unit: str
    entry: str
    kind: str
    order: dict[str, Any]
    """Fields of `Order`; "size" and "count" are those of a full run."""


WORKLOADS: Final = (
    Workload("bulk down, 1 stream", "GB", "tcp", "down", {"size": 1_000_000_000}),
    Workload("bulk up, 10 streams", "GB", "tcp", "up", {"streams": 10, "size": 100_000_000}),
    Workload("new connections", "10k", "tcp", "connections", {"count": 6_000}),
    Workload("HTTP, heads alike", "10k", "http", "requests", {"count": 24_000}),
    Workload("HTTP, heads that differ", "10k", "http", "requests", {"count": 24_000, "vary": True}),
    Workload("the same, access log on", "10k", "log", "requests", {"count": 24_000, "vary": True}),
    Workload("the same, events and metrics on", "10k", "events", "requests", {"count": 24_000, "vary": True}),
    Workload("HTTPS at the edge", "10k", "https", "requests", {"count": 15_000, "vary": True}),
    Workload("TLS set-ups at the edge", "10k", "https", "handshakes", {"count": 1_500, "vary": True}),
    Workload(
        "HTTP/2 at the edge",
        "10k",
        "https",
        "http2",
        {"count": 10_000, "vary": True, "concurrency": 5, "streams": 10},
    ),
    Workload(
        "gRPC messages",
        "10k",
        "grpc",
        "grpc",
        {"count": 15_000, "concurrency": 5, "streams": 10},
    ),
    Workload("WebSocket messages", "10k", "ws", "websocket", {"count": 24_000}),
    *(
        Workload(
            f"a policy of {rules} rules", "10k", f"rules{rules}", "requests", {"count": count, "vary": True}
        )
        for rules, count in ((0, 12_000), (1, 12_000), (20, 6_000), (100, 3_000))
    ),
)


@dataclass(slots=True)
class Cost:
    """The cheapest round so far: CPU seconds per unit of service and agent, and units per second."""

    service: float
    agent: float
    rate: float

    @property
    def total(self) -> float:
        """CPU seconds per unit, all processes."""
        return self.service + self.agent


@dataclass(frozen=True, slots=True)
class Beside:
    """Small requests, one at a time: milliseconds alone and beside a saturating bulk stream."""

    p50_alone: float
    p99_alone: float
    p50: float
    p99: float
    bulk: float
    """GB/s that the bulk stream moved meanwhile."""


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds from exec until agents are accepted, and until bootstrap.json says that all is ready."""

    accepts: float
    ready: float


def cost(contender: Contender, workload: Workload, scale: float) -> Cost:
    """Run one workload through one contender, which must have its entry. Raises LoadError."""
    entry = contender.entries[workload.entry]
    smaller = {
        key: max(1, int(workload.order[key] * scale)) for key in ("size", "count") if key in workload.order
    }
    order = replace(entry, **(workload.order | smaller))
    before = contender.cpu()
    done = loaded(workload.kind, order)
    after = contender.cpu()
    service, agent = ((now - then) / done["units"] for now, then in zip(after, before, strict=True))
    return Cost(service, agent, done["units"] / done["seconds"])


def idle_memory(contender: Contender, scale: float) -> tuple[float, float]:
    """Return the MB per 1000 idle connections of service and agent.

    A few connections are made before, so that what a process does once is not counted.
    """
    entry = contender.entries["tcp"]
    count = max(10, int(contender.held * scale))
    loaded("connections", replace(entry, count=50))
    before = contender.memory()
    with loading("idle", replace(entry, count=count, concurrency=32)) as visitors:
        first_line(visitors)
        after = contender.memory()
        result(visitors)
    service, agent = ((now - then) / 1e6 * HELD / count for now, then in zip(after, before, strict=True))
    return service, agent


def beside_bulk(contender: Contender, scale: float) -> Beside:
    """Ask small things beside a bulk download on the same session, and without it."""
    web, raw = contender.entries["http"], contender.entries["tcp"]
    asking = replace(web, seconds=max(0.2, BESIDE * scale), vary=True)
    alone = loaded("latency", replace(asking, seconds=max(0.2, ALONE * scale)))
    with loading("down", replace(raw, seconds=asking.seconds + 2 * LEAD)) as bulk:
        time.sleep(LEAD)
        busy = loaded("latency", asking)
        moved = result(bulk)
    return Beside(alone["p50"], alone["p99"], busy["p50"], busy["p99"], moved["units"] / moved["seconds"])


def idle_agents(kind: str, scale: float) -> float:
    """Return the kB that an idle agent with one http endpoint costs the service.

    The kind is "agent" for ours, "sdk_agent" for the official Python SDK.
    """
    most = AGENTS if kind == "agent" else AGENTS_OFFICIAL
    count = max(2, int(most * scale))
    with contextlib.ExitStack() as stack:
        service = serve(stack, ports="24000-24999")
        environ = service.agent() | service.sdk()
        with contextlib.ExitStack() as first:
            first_line(start(first, module(f"bench.{kind}", "idle", "2"), environ))
        before = processes.memory(service.pid)
        first_line(start(stack, module(f"bench.{kind}", "idle", str(count)), environ))
        time.sleep(BEAT * min(1.0, scale * 5))
        return (processes.memory(service.pid) - before) / 1e3 / count


def start_up(scale: float) -> tuple[Started, Started]:
    """Start a service in an empty folder, which makes its keys and its store, and again in the same."""
    first, again = zip(*(_started() for _ in range(max(1, int(STARTS * scale)))), strict=True)
    return _quickest(first), _quickest(again)


def _quickest(some: Iterable[Started]) -> Started:
    return Started(min(each.accepts for each in some), min(each.ready for each in some))


def _started() -> tuple[Started, Started]:
    with contextlib.ExitStack() as stack:
        data = folder(stack)
        return _start_in(data), _start_in(data)


def _start_in(data: Path) -> Started:
    (port,) = processes.free_ports(1)
    listen = [f"127.0.0.1:{port}", "--listen-http", "127.0.0.1:0", "--listen-https", "127.0.0.1:0"]
    command = module("portway.cli.main", "serve", "--data-dir", str(data), "--listen-agent", *listen)
    bootstrap = data / "bootstrap.json"
    old = _stamp(bootstrap)
    with contextlib.ExitStack() as stack:
        since = time.monotonic()
        start(stack, [*command, "--tcp-ports", "25000-25999"], log=data / "log")
        processes.wait(lambda: processes.accepts(port), "portway serve accepts", processes.PAUSE)
        accepts = time.monotonic() - since
        processes.wait(lambda: _stamp(bootstrap) not in {0, old}, "portway serve is ready", processes.PAUSE)
        return Started(accepts, time.monotonic() - since)


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
