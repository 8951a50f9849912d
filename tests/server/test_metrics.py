"""The page of metrics."""

from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from portway.control.ports import Delivered
from portway.edge.counters import Counted, EndpointCounts, Snapshot
from portway.server import metrics
from portway.server.meter import Meter
from portway.server.metrics import ENDPOINTS, Numbers


def _endpoint(number: int, requests: int) -> EndpointCounts:
    answers = (0, 0, requests, 0, 0, 0, 0, 0, 0, 0)
    counted = Counted(requests, 0, requests, 10 * requests, 20 * requests, answers)
    return EndpointCounts(f"ep_{number}", "ac_1", f"https://{number}.example", "https", "public", counted, {})


def _read(numbers: Numbers) -> Mapping[tuple[str, ...], float]:
    """Return every line: name and labels' values, sorted → value."""
    text = metrics.page(numbers).decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.row("EV-19")
def test_every_number_is_on_the_page() -> None:
    offline = {"https": Counted(1, 0, 1, 1, 1, (0, 0, 0, 0, 1, 0, 0, 0, 0, 0))}
    states = {"ed_1": Delivered(5, 1, 2, 3, "no")}
    snapshot = Snapshot((_endpoint(1, 7),), offline)
    found = _read(Numbers(snapshot, 4, 9, 8, states, controller_starts=2, version="1.2", meter=Meter()))
    for key, value in (
        (("portway_info", "1.2"), 1),
        (("portway_sessions",), 4),
        (("portway_endpoints", "https", "public"), 1),
        (("portway_requests_total", "https://1.example", "https", "2xx"), 7),
        (("portway_requests_total", "other", "https", "4xx"), 1),
        (("portway_received_bytes_total", "https://1.example", "https"), 70),
        (("portway_sent_bytes_total", "other", "https"), 1),
        (("portway_connections_total", "other", "tcp"), 0),
        (("portway_events_total",), 9),
        (("portway_events_lost_total",), 8),
        (("portway_event_deliveries_total", "ed_1", "delivered"), 5),
        (("portway_event_deliveries_total", "ed_1", "dropped"), 2),
        (("portway_events_waiting", "ed_1"), 3),
        (("portway_event_destination_failing", "ed_1"), 1),
        (("portway_controller_up",), 1),
        (("portway_controller_starts_total",), 2),
        (("portway_request_duration_seconds_count",), 0),
    ):
        assert found[(key[0], *sorted(key[1:]))] == value, key


def test_lines_are_bounded_and_sums_are_not_changed_by_that() -> None:
    many = Snapshot(tuple(_endpoint(number, number) for number in range(ENDPOINTS + 50)), {})
    found = _read(Numbers(many))
    lines = {key: value for key, value in found.items() if key[0] == "portway_requests_total"}
    assert len({key[-1] for key in lines}) <= ENDPOINTS + 1
    assert sum(lines.values()) == sum(range(ENDPOINTS + 50))
    assert ("portway_connections_total", "https://1.example", "https") not in found


def test_no_label_can_forge_a_line() -> None:
    odd = EndpointCounts("ep", "ac", 'x"\nportway_sessions 99', "https", "public", Counted(), {})
    assert _read(Numbers(Snapshot((odd,), {})))["portway_sessions",] == 0
