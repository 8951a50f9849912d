"""make bench: what carrying bytes costs, portway beside a minimal relay (and one more: PROTOTYPE=path).

CPU seconds per unit of the service's and the agent's process, with the wall-clock rate of the same run. The
rounds are interleaved, so that a busy moment of the machine meets everybody; of each contender the cheapest
round counts. Every byte of bulk is verified. Figures of one machine compare contenders, not machines.
"""

import argparse
import contextlib
import json
import subprocess
from dataclasses import dataclass
from typing import Final

from bench.contenders import Contender, load, starters


@dataclass(frozen=True, slots=True)
class Workload:
    """One column: what the load is told, in the sizes of a quick and of a full run."""

    title: str
    unit: str
    kind: str
    quick: tuple[int, ...]
    full: tuple[int, ...]


WORKLOADS: Final = (
    Workload("bulk down, 1 stream", "GB", "down", (1, 200_000_000), (1, 1_000_000_000)),
    Workload("bulk up, 10 streams", "GB", "up", (10, 20_000_000), (10, 100_000_000)),
    Workload("connections, 50 at once", "10k", "connections", (2_000, 50), (10_000, 50)),
    Workload("HTTP requests, 50 kept alive", "10k", "requests", (5_000, 50), (20_000, 50)),
)

IDLE: Final = 1000
"""Connections that are held open while memory is measured."""


@dataclass(slots=True)
class Cost:
    """The cheapest round so far: CPU seconds per unit of service and agent, and units per second."""

    service: float
    agent: float
    rate: float

    @property
    def total(self) -> float:
        """CPU seconds per unit, both processes."""
        return self.service + self.agent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: a smoke test")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(load("upstream"))
        assert upstream.stdout
        port = int(upstream.stdout.readline())
        pairs = [start(stack, port) for start in starters()]
        best: dict[tuple[str, str], Cost] = {}
        for _ in range(options.rounds):
            for workload in WORKLOADS:
                for pair in pairs:
                    cost = measure(pair, workload, workload.quick if options.quick else workload.full)
                    key = workload.title, pair.name
                    if key not in best or cost.total < best[key].total:
                        best[key] = cost
        for workload in WORKLOADS:
            report(workload, [(pair.name, best[workload.title, pair.name]) for pair in pairs])
        print(f"\n{IDLE} idle connections: MB, service + agent")
        for pair in pairs:
            service, agent = idle_memory(pair)
            print(f"  {pair.name:<16} {service / 1e6:6.2f} + {agent / 1e6:.2f}")


def measure(pair: Contender, workload: Workload, sizes: tuple[int, ...]) -> Cost:
    """Run one workload through one pair."""
    port = pair.http_port if workload.kind == "requests" else pair.tcp_port
    host = (pair.http_host,) if workload.kind == "requests" else ()
    before = pair.cpu()
    with load(workload.kind, str(port), *host, *map(str, sizes)) as visitors:
        printed, _ = visitors.communicate()
        if visitors.returncode:
            raise SystemExit(f"{pair.name}: {workload.title} failed")
    after = pair.cpu()
    result = json.loads(printed)
    service, agent = ((now - then) / result["units"] for now, then in zip(after, before, strict=True))
    return Cost(service, agent, result["units"] / result["seconds"])


def idle_memory(pair: Contender) -> tuple[int, int]:
    """Return how much more memory service and agent hold with IDLE connections open."""
    before = pair.memory()
    with load("idle", str(pair.tcp_port), str(IDLE), wait_input=True) as visitors:
        assert visitors.stdout
        assert visitors.stdin
        visitors.stdout.readline()
        after = pair.memory()
        visitors.stdin.close()
        visitors.stdin = None
        visitors.wait(timeout=30)
    return after[0] - before[0], after[1] - before[1]


def report(workload: Workload, costs: list[tuple[str, Cost]]) -> None:
    """Print one workload: the first contender is compared with all the others."""
    print(f"\n{workload.title}: CPU s/{workload.unit}, service + agent ({workload.unit}/s)")
    ours = costs[0][1].total
    for name, cost in costs:
        times = "" if cost is costs[0][1] else f"   {costs[0][0]} costs {ours / cost.total:.2f}x"
        print(f"  {name:<16} {cost.service:6.3f} + {cost.agent:.3f}  ({cost.rate:.2f}){times}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        main()
