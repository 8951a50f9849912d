"""Numbers for Prometheus: one page, made when it is asked for, of what is counted anyway.

Nothing is counted for this page alone on the way of a request, so it costs nothing while nobody asks. How
many lines it has is bounded: endpoints have lines of their own up to ENDPOINTS, the busiest of them; all the
others are one line, by scheme. Counters never fall but by a restart.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from portway.control.measures import ControlNumbers
from portway.edge.counters import Counted, EndpointCounts, Snapshot
from portway.server import control_metrics
from portway.server.meter import BOUNDS, Meter

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, Metric

ENDPOINTS: Final = 1000
"""Endpoints that have lines of their own."""
CODES: Final = 500
"""Codes and kinds that do, far more than there are."""
OTHERS: Final = "other"
"""The name of all that have none."""
SCHEMES: Final = ("http", "https", "tcp", "tls")
_CLASSES: Final = ("cut", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx")


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that a page is made of."""

    endpoints: Snapshot
    sessions: int = 0
    taken: int = 0
    dropped: int = 0
    control: ControlNumbers | None = None
    """What the control plane has counted; None while it is away."""
    controller_up: bool = True
    controller_starts: int = 0
    controller_pid: int = 0
    version: str = ""
    meter: Meter | None = None
    refused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Agents by the code that they were refused with."""
    fetches: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Fetches of policies by kind and result."""
    certificate: bytes = b""
    """The service's own, PEM."""


class Collector:
    """Makes the page's lines of numbers. prometheus-client calls ``collect``."""

    def __init__(self, numbers: Numbers) -> None:
        """Take the numbers."""
        self._numbers = numbers

    def collect(self) -> "Iterator[Metric]":
        """Return every family of lines."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        numbers = self._numbers
        info = GaugeMetricFamily("portway_info", "The version that runs.", labels=["version"])
        info.add_metric([numbers.version], 1)
        yield info
        yield GaugeMetricFamily("portway_sessions", "Sessions of agents.", value=numbers.sessions)
        up = "Whether the control plane answers."
        yield GaugeMetricFamily("portway_controller_up", up, value=int(numbers.controller_up))
        starts = "Times that the control plane was started."
        yield CounterMetricFamily("portway_controller_starts", starts, value=numbers.controller_starts)
        yield from _endpoints(numbers.endpoints)
        wanted = "Traffic events that subscriptions wanted."
        yield CounterMetricFamily("portway_events", wanted, value=numbers.taken)
        lost = "Traffic events that were lost before their delivery began."
        yield CounterMetricFamily("portway_events_lost", lost, value=numbers.dropped)
        text = "Agents that were refused, by code."
        yield _counts(
            "portway_agents_refused", text, ["code"], {(k or OTHERS,): v for k, v in numbers.refused.items()}
        )
        text = "What policies fetched from elsewhere."
        yield _counts("portway_policy_fetches", text, ["kind", "result"], numbers.fetches)
        if numbers.meter is not None:
            yield from _meter(numbers.meter)
        yield from control_metrics.collected(numbers.control, numbers.certificate)


def page(numbers: Numbers) -> bytes:
    """Write the page, in the text format of Prometheus."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(numbers))  # pyright: ignore[reportArgumentType] - collect is all that it needs
    ProcessCollector(registry=registry)
    if numbers.controller_pid:
        pid = numbers.controller_pid
        ProcessCollector(namespace="portway_controller", pid=lambda: pid, registry=registry)
    return generate_latest(registry)


def _endpoints(snapshot: Snapshot) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["endpoint", "scheme"]
    online = GaugeMetricFamily(
        "portway_endpoints", "Endpoints that are online.", labels=["scheme", "binding"]
    )
    tally: dict[tuple[str, str], int] = {}
    for each in snapshot.endpoints:
        key = each.scheme, each.binding
        tally[key] = tally.get(key, 0) + 1
    for key, count in sorted(tally.items()):
        online.add_metric(list(key), count)
    yield online
    connections = CounterMetricFamily("portway_connections", "Connections of visitors.", labels=labels)
    under_way = GaugeMetricFamily(
        "portway_under_way", "Requests, and connections that are no HTTP, under way.", labels=labels
    )
    received = CounterMetricFamily("portway_received_bytes", "Bytes from visitors.", labels=labels)
    sent = CounterMetricFamily("portway_sent_bytes", "Bytes to visitors.", labels=labels)
    requests = CounterMetricFamily(
        "portway_requests", "HTTP requests, by the class of their answer's status.", labels=[*labels, "class"]
    )
    for name, scheme, counted in _lines(snapshot):
        connections.add_metric([name, scheme], counted.connections)
        under_way.add_metric([name, scheme], counted.open)
        received.add_metric([name, scheme], counted.bytes_in)
        sent.add_metric([name, scheme], counted.bytes_out)
        for kind, count in zip(_CLASSES, counted.answers, strict=True):
            if count:
                requests.add_metric([name, scheme, kind], count)
    yield from (connections, under_way, received, sent, requests)


def _lines(snapshot: Snapshot) -> Iterator[tuple[str, str, Counted]]:
    """Return the endpoints that have lines of their own, then what is left, by scheme."""
    busiest = sorted(snapshot.endpoints, key=_business, reverse=True)[:ENDPOINTS]
    named: dict[tuple[str, str], list[Counted]] = {}
    for each in busiest:
        named.setdefault((each.url, each.scheme), []).append(each.counted)
    for (url, scheme), all_of_it in sorted(named.items()):
        yield url, scheme, _sum(all_of_it)
    shown = {scheme: _sum(each.counted for each in busiest if each.scheme == scheme) for scheme in SCHEMES}
    for scheme in SCHEMES:
        yield OTHERS, scheme, _without(snapshot.total(scheme), shown[scheme])


def _business(each: EndpointCounts) -> tuple[int, str]:
    return each.counted.connections + each.counted.requests, each.id


def _sum(each: Iterable[Counted]) -> Counted:
    all_of_it = list(each)
    return Counted(
        sum(one.connections for one in all_of_it),
        sum(one.open for one in all_of_it),
        sum(one.requests for one in all_of_it),
        sum(one.bytes_in for one in all_of_it),
        sum(one.bytes_out for one in all_of_it),
        tuple(sum(column) for column in zip(*(one.answers for one in all_of_it), strict=True))
        or Counted().answers,
    )


def _without(total: Counted, shown: Counted) -> Counted:
    return Counted(
        total.connections - shown.connections,
        total.open - shown.open,
        total.requests - shown.requests,
        total.bytes_in - shown.bytes_in,
        total.bytes_out - shown.bytes_out,
        tuple(most - some for most, some in zip(total.answers, shown.answers, strict=True)),
    )


def _meter(meter: Meter) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    for name, text, counts, total in (
        (
            "duration",
            "From the first byte of a request to the last of its answer.",
            meter.buckets,
            meter.seconds,
        ),
        ("first_byte", "To the first byte of the answer.", meter.first_bytes, meter.first_seconds),
    ):
        family = HistogramMetricFamily(f"portway_request_{name}_seconds", text)
        sums = list(accumulate(counts))
        bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        family.add_metric([], list(zip(bounds, sums, strict=True)), total)
        yield family
    decided = CounterMetricFamily(
        "portway_policy_decisions", "What policies decided of visitors.", labels=["action", "decision"]
    )
    for key, count in sorted(meter.decisions.items()):
        decided.add_metric(list(key), count)
    yield decided
    text = "Requests that the service answered itself, by code."
    yield _counts("portway_errors", text, ["code"], {(code,): n for code, n in meter.errors.items()})


def _counts(
    name: str, text: str, labels: list[str], counts: Mapping[tuple[str, ...], int]
) -> "CounterMetricFamily":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in sorted(counts.items())[:CODES]:
        family.add_metric(list(values), count)
    return family
