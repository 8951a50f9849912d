"""make bench: what carrying bytes costs, portway beside a minimal relay and whatever else is here.

CPU seconds per unit of the service's and the agent's processes, with the wall-clock rate of the same run. The
rounds are interleaved, so that a busy moment of the machine meets everybody; of each cell the cheapest round
counts. Every byte of bulk is verified. OpenSSH, nginx and HAProxy take part where they are installed, and
PROTOTYPE=path adds a relay from outside. A full run takes about ten minutes.
"""

import argparse
import contextlib
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from bench import contenders, peers, policy
from bench.contenders import OFFICIAL, OURS, Contender, Starter
from bench.measures import WORKLOADS, beside_bulk, cost, idle_agents, idle_memory, start_up
from bench.processes import ROOT, LoadError, StartError, first_line, module, start
from bench.results import BESIDE_BULK, Results, report, write

T = TypeVar("T")

QUICK: Final = 0.15
"""Part of the work that a quick run does."""

BEGAN: Final = time.monotonic()

STARTERS: Final[dict[str, tuple[Starter, ...]]] = {
    "portway": (contenders.portway, contenders.portway_logging, contenders.portway_watched),
    "sdk": (contenders.portway_official,),
    "minimal": (contenders.minimal,),
    "prototype": (contenders.prototype,),
    "openssh": (peers.openssh,),
    "nginx": (peers.nginx,),
    "haproxy": (peers.haproxy,),
}


def main() -> None:
    """Measure, print, and write if asked."""
    options = _options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for all that is started from here
    results = Results(rounds=options.rounds)
    with contextlib.ExitStack() as stack:
        measured = _start(stack, options.only or list(STARTERS))
        results.names = list(dict.fromkeys(each.name for each in measured))
        _idle(results, measured, options.scale)
        for number in range(options.rounds):
            _round(results, measured, options.scale, f"round {number + 1}")
    _portway_alone(results, options.scale)
    results.seconds = time.monotonic() - BEGAN
    print(report(results))
    if options.write:
        write(results, options.write)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3; 1 of a quick run)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:.0%}% of the work: a first look")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the work to do (default 1)")
    parser.add_argument(
        "--only", action="append", choices=list(STARTERS), help="measure these; may be repeated"
    )
    page = ROOT / "docs" / "performance.md"
    parser.add_argument(
        "--write", type=Path, nargs="?", const=page, metavar="PAGE", help=f"write the tables into {page.name}"
    )
    options = parser.parse_args()
    options.scale *= QUICK if options.quick else 1.0
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _start(stack: contextlib.ExitStack, wanted: list[str]) -> list[Contender]:
    """Start an upstream, and all contenders that are here."""
    upstream = int(first_line(start(stack, module("bench.upstream"))))
    running: list[Contender] = []
    for name in wanted:
        for starter in STARTERS[name]:
            try:
                contender = starter(stack, upstream)
            except StartError as error:
                _say(f"{name} did not start: {error}")
                continue
            if contender is None:
                _say(f"{name} is not here")
            else:
                running.append(contender)
    return running


def _idle(results: Results, measured: list[Contender], scale: float) -> None:
    """Measure memory first: a process that has worked has room left that it would use."""
    for contender in measured:
        if "tcp" in contender.entries:
            _say(f"idle connections: {contender.name}")
            results.idle[contender.name] = idle_memory(contender, scale)


def _round(results: Results, measured: list[Contender], scale: float, title: str) -> None:
    for workload in WORKLOADS:
        for contender in measured:
            if workload.entry in contender.entries:
                step = f"{title}: {workload.title}: {contender.name}"
                found = _tried(step, partial(cost, contender, workload, scale))
                if found is None:
                    results.failed.add((workload.title, contender.name))
                else:
                    _say(f"{found.service:.3f} + {found.agent:.3f} s per {workload.unit}")
                    results.add_cost(workload, contender.name, found)
    for contender in measured:
        if {"tcp", "http"} <= set(contender.entries):
            step = f"{title}: {BESIDE_BULK}: {contender.name}"
            beside = _tried(step, partial(beside_bulk, contender, scale))
            if beside is None:
                results.failed.add((BESIDE_BULK, contender.name))
            else:
                _say(f"p50 {beside.p50:.2f}, p99 {beside.p99:.2f} ms at {beside.bulk * 1e3:.0f} MB/s")
                results.add_beside(contender.name, beside)


def _tried(step: str, measure: Callable[[], T]) -> T | None:
    """Measure, once more if that failed; a second failure spoils the cell, not the run."""
    _say(step)
    for _ in range(2):
        try:
            return measure()
        except LoadError as error:
            _say(f"FAILED: {error}")
    return None


def _portway_alone(results: Results, scale: float) -> None:
    if OURS in results.names:
        _say("idle agents, start-up")
        results.agents[OURS] = idle_agents("agent", scale)
        results.started = start_up(scale)
        results.engine = policy.measure(scale)
    if OFFICIAL in results.names:
        results.agents[OFFICIAL] = idle_agents("sdk_agent", scale)


def _say(text: str) -> None:
    """Tell how far it is, apart from the tables."""
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
