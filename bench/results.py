"""What a run has found, and how it is shown: Markdown tables, on the terminal and in docs/performance.md."""

import os
import platform
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop
from bench.contenders import OFFICIAL, OURS, PROTOTYPE
from bench.measures import WORKLOADS, Beside, Cost, Started, Workload
from bench.policy import COUNTS, Engine

BEGIN: Final = "<!-- bench: begin (written by `make bench ARGS=--write`; do not edit) -->"
END: Final = "<!-- bench: end -->"
NONE: Final = "–"
FAILED: Final = "failed"
BESIDE_BULK: Final = "beside a bulk stream"

BULK, CONNECTIONS, HTTP = (WORKLOADS[:2], WORKLOADS[2], WORKLOADS[3:5])
RULED = [each for each in WORKLOADS if each.entry.startswith("rules")]
TIMES: Final = 1.25
"""The prototype's CPU that bulk and connections may cost."""

TIMES_HTTP: Final = 1.6
"""The same for HTTP."""

IDLE_MB: Final = 3.0
AGENT_KB: Final = 60.0
P99_MS: Final = 5.0


@dataclass(slots=True)
class Results:
    """All figures of a run; of each cell the cheapest round."""

    names: list[str] = field(default_factory=list[str])
    """Contenders, in the order of the tables."""
    rounds: int = 0
    seconds: float = 0.0
    costs: dict[tuple[str, str], Cost] = field(default_factory=dict[tuple[str, str], Cost])
    """By title of the workload and name of the contender."""
    failed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Likewise: what could not be finished in some round."""
    beside: dict[str, Beside] = field(default_factory=dict[str, Beside])
    idle: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    agents: dict[str, float] = field(default_factory=dict[str, float])
    """kB of the service for an idle agent, by the contender whose agent it is."""
    started: tuple[Started, Started] | None = None
    engine: dict[int, Engine] = field(default_factory=dict[int, Engine])
    """What policies cost in the engine alone, by how many rules they have."""

    def add_cost(self, workload: Workload, name: str, cost: Cost) -> None:
        """Keep the cheaper one."""
        key = workload.title, name
        if key not in self.costs or cost.total < self.costs[key].total:
            self.costs[key] = cost

    def add_beside(self, name: str, beside: Beside) -> None:
        """Keep the one with the lower p99 beside bulk."""
        if name not in self.beside or beside.p99 < self.beside[name].p99:
            self.beside[name] = beside

    def times(self, workload: Workload, other: str = PROTOTYPE) -> float | None:
        """Return how many times another contender's CPU ours is; None when one was not measured."""
        ours, theirs = (self.costs.get((workload.title, name)) for name in (OURS, other))
        return ours.total / theirs.total if ours and theirs and theirs.total else None


def report(results: Results) -> str:
    """Return all tables."""
    parts = [_facts(results), _work_table(results, WORKLOADS[:3]), _work_table(results, WORKLOADS[3:9])]
    parts.append(_work_table(results, WORKLOADS[9:12]))
    parts += [_other_table(results), _policy_table(results), _start_table(results), _target_table(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(results: Results, page: Path) -> None:
    """Put the tables between the marks of a page. Raises ValueError when it has none."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no lines {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{BEGIN}\n\n{report(results)}\n{END}{after}")


def _facts(results: Results) -> str:
    loop = f"uvloop {uvloop.__version__}"
    return (
        f"{datetime.now(UTC):%d %B %Y}: {os.cpu_count()} cores ({_processor()}), {platform.system()}"
        f" {platform.release()}, CPython {platform.python_version()}, {loop}, {ssl.OPENSSL_VERSION};"
        f" {results.rounds} interleaved rounds, {results.seconds / 60:.0f} minutes."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _work_table(results: Results, workloads: Iterable[Workload]) -> str:
    workloads = list(workloads)
    if not any((each.title, name) in results.costs for each in workloads for name in results.names):
        return ""
    heads = [f"{each.title}: s/{each.unit} ({_rate_unit(each)})" for each in workloads]

    def cell(workload: Workload, name: str) -> str:
        key = workload.title, name
        cost = results.costs.get(key)
        if cost is None or key in results.failed:
            return FAILED if key in results.failed else NONE
        rate = cost.rate * (1000 if workload.unit == "GB" else 10_000)
        return f"{cost.service:.2f} + {cost.agent:.2f} ({rate:,.0f})"

    rows = [[name, *(cell(each, name) for each in workloads)] for name in results.names]
    return _table(
        ["CPU seconds, service + agent", *heads], [row for row in rows if any(c != NONE for c in row[1:])]
    )


def _rate_unit(workload: Workload) -> str:
    return "MB/s" if workload.unit == "GB" else "per s"


def _other_table(results: Results) -> str:
    heads = [
        "",
        "1,000 idle connections: MB, service + agent",
        "small requests alone: p50, p99 ms",
        "beside a bulk stream: p50, p99 ms (MB/s of it)",
    ]
    rows: list[list[str]] = []
    for name in results.names:
        idle, beside = results.idle.get(name), results.beside.get(name)
        if idle or beside:
            row = [name, f"{idle[0]:.1f} + {idle[1]:.1f}" if idle else NONE]
            row += [f"{beside.p50_alone:.2f}, {beside.p99_alone:.2f}" if beside else NONE]
            row += [f"{beside.p50:.2f}, {beside.p99:.2f} ({beside.bulk * 1e3:,.0f})" if beside else NONE]
            rows.append([*row[:3], FAILED] if (BESIDE_BULK, name) in results.failed else row)
    return _table(heads, rows) if rows else ""


def _policy_table(results: Results) -> str:
    """Return what rules cost: whole requests in the service, and the engine by itself."""
    costs = {rules: results.costs.get((each.title, OURS)) for rules, each in zip(COUNTS, RULED, strict=True)}
    without, one = costs[0], results.engine.get(1)
    if without is None or one is None:
        return ""
    rows: list[list[str]] = []
    for rules, cost in costs.items():
        engine = results.engine[rules]
        row = [
            str(rules),
            NONE if cost is None else f"{cost.service:.2f} ({cost.service / without.service:.1f} ×)",
        ]
        pairs = ((engine.none_matches, one.none_matches), (engine.all_match, one.all_match))
        row += [f"{value:,.1f} ({value / base:.1f} ×)" for value, base in pairs]
        rows.append([*row, f"{engine.compile / 1000:.1f}" if rules else NONE])
    heads = [
        "rules of a policy", "service: s/10k requests (× no policy)", "engine, none matches: µs (× one rule)",
        "engine, all match: µs (× one rule)", "compiling: ms",
    ]  # fmt: skip
    return _table(heads, rows)


def _start_table(results: Results) -> str:
    rows = [
        [f"memory of the service for an idle agent: {name}", f"{kb:.0f} kB"]
        for name, kb in results.agents.items()
    ]
    if results.started:
        for when, started in zip(("in an empty folder", "again"), results.started, strict=True):
            took = f"{started.accepts:.2f} s, {started.ready:.2f} s"
            rows.append([f"start {when}: exec until agents are accepted, until all is ready", took])
    return _table(["portway serve", ""], rows) if rows else ""


def _target_table(results: Results) -> str:
    """Return the targets beside the figures; what was not measured has no verdict."""
    idle, beside = results.idle.get(OURS), results.beside.get(OURS)
    bulk = [("CPU of the prototype", each, TIMES) for each in (*BULK, CONNECTIONS)]
    http = [("CPU of the prototype", each, TIMES_HTTP) for each in HTTP]
    agents = [("idle agent, on the service", name) for name in (OURS, OFFICIAL)]
    lines: list[tuple[str, str, float | None, float, str]] = [
        *((each.title, of, results.times(each), most, "×") for of, each, most in (*bulk, *http)),
        ("1,000 idle connections", "the larger of both sides", max(idle) if idle else None, IDLE_MB, " MB"),
        *((what, name, results.agents.get(name), AGENT_KB, " kB") for what, name in agents),
        ("small requests beside bulk", "p99", beside.p99 if beside else None, P99_MS, " ms"),
    ]
    rows = [
        [what, of, f"≤ {most:g}{unit}", *_verdict(figure, most, unit)]
        for what, of, figure, most, unit in lines
    ]
    return _table(["target", "of what", "at most", "measured", ""], rows)


def _verdict(figure: float | None, most: float, unit: str) -> tuple[str, str]:
    if figure is None:
        return NONE, "not measured"
    return f"{figure:.2f}{unit}", "met" if figure <= most else "missed"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))
