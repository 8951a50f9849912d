"""Numbers for Prometheus of the control plane: destinations of events, the API, the store, certificates."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from portway.control.measures import BOUNDS, ApiMeasures, ControlNumbers, Expiry, StoreMeasures, Times
from portway.control.ports import Delivered

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily, Metric

DESTINATIONS: Final = 1000
"""Event destinations that have lines of their own."""


def collected(numbers: ControlNumbers | None, certificate: bytes) -> "Iterator[Metric]":
    """Return every family of lines; ``certificate`` is the service's own, PEM. None: it does not answer."""
    told = numbers or ControlNumbers()
    yield from _deliveries(told.destinations)
    yield from _api(told.api)
    if numbers is not None:
        yield from _store(told.store)
    yield from _expiries(told.expiries, certificate)


def _deliveries(states: Mapping[str, Delivered]) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["destination", "result"]
    events = CounterMetricFamily("portway_event_deliveries", "Events, by what became of them.", labels=labels)
    waiting = GaugeMetricFamily("portway_events_waiting", "Events still to be sent.", labels=labels[:1])
    failing = GaugeMetricFamily(
        "portway_event_destination_failing", "1 after a try that failed.", labels=labels[:1]
    )
    for name, state in sorted(states.items())[:DESTINATIONS]:
        for result in ("delivered", "failed", "dropped"):
            events.add_metric([name, result], getattr(state, result))
        waiting.add_metric([name], state.waiting)
        failing.add_metric([name], int(bool(state.last_error)))
    yield from (events, waiting, failing)


def _api(api: ApiMeasures) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    text = "Requests of the API, by the class of their answer's status."
    requests = CounterMetricFamily("portway_api_requests", text, labels=["method", "class"])
    for key, count in sorted(api.requests.items()):
        requests.add_metric(key.split(" "), count)
    yield requests
    durations = HistogramMetricFamily("portway_api_request_duration_seconds", "How long those took.")
    _add(durations, [], api.times)
    yield durations


def _store(store: StoreMeasures) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    up = "1 unless the last transaction of the store could not be carried out."
    yield GaugeMetricFamily("portway_store_up", up, value=int(store.up))
    failures = "Transactions that failed because the store could not be used."
    yield CounterMetricFamily("portway_store_failures", failures, value=store.failures)
    text = "Transactions of the store, with the wait for their turn."
    times = HistogramMetricFamily("portway_store_transaction_duration_seconds", text, labels=["kind"])
    _add(times, ["read"], store.reads)
    _add(times, ["write"], store.writes)
    yield times


def _add(family: "HistogramMetricFamily", labels: list[str], times: Times) -> None:
    bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(times.buckets), strict=True))
    family.add_metric(labels, buckets, times.seconds)


def _expiries(expiries: list[Expiry], certificate: bytes) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(
        "portway_certificate_expiry_timestamp_seconds",
        "When a certificate ends, Unix seconds; those that end first.",
        labels=["kind", "id", "name"],
    )
    if certificate:
        from cryptography import x509

        ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
        family.add_metric(["service", "", ""], ends.timestamp())
    for each in expiries:
        family.add_metric([each.kind, each.id, each.name], each.not_after)
    yield family
