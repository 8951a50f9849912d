"""The page of metrics."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from portway.control.measures import ControlNumbers
from portway.control.ports import Delivered
from portway.edge.counters import Counted, EndpointCounts, Snapshot
from portway.server import metrics
from portway.server.meter import Meter
from portway.server.metrics import ENDPOINTS, Numbers

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "examples" / "monitoring"


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
    control = ControlNumbers(destinations={"ed_1": Delivered(5, 1, 2, 3, "no")})
    snapshot, meter = Snapshot((_endpoint(1, 7),), offline), Meter()
    meter.errors["ERR_NGROK_3200"] = 3
    found = _read(
        Numbers(
            snapshot, 4, 9, 8, control, controller_starts=2, controller_pid=os.getpid(), version="1.2",
            meter=meter, refused={"ERR_NGROK_107": 6, "": 1}, fetches={("body", "failed"): 2},
        )
    )  # fmt: skip
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
        (("portway_agents_refused_total", "ERR_NGROK_107"), 6),
        (("portway_agents_refused_total", "other"), 1),
        (("portway_policy_fetches_total", "body", "failed"), 2),
        (("portway_errors_total", "ERR_NGROK_3200"), 3),
        (("portway_controller_starts_total",), 2),
        (("portway_request_duration_seconds_count",), 0),
    ):
        assert found[(key[0], *sorted(key[1:]))] == value, key
    for name in (
        "process_cpu_seconds_total",
        "process_open_fds",
        "portway_controller_process_resident_memory_bytes",
    ):
        assert found[name,] > 0, name


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


def test_the_examples_and_the_documentation_name_what_there_is() -> None:
    control = ControlNumbers()
    meter = Meter()
    page = metrics.page(Numbers(Snapshot((), {}), control=control, controller_pid=os.getpid(), meter=meter))
    families = {each.name: each for each in text_string_to_metric_families(page.decode())}
    known = {name for each in families for name in (each, f"{each}_total", f"{each}_bucket")}
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"][0]["rules"]
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    expressions = [each["expr"] for each in rules]
    expressions += [target["expr"] for each in panels for target in each["targets"]]
    named = {name for each in expressions for name in re.findall(r"\b(?:portway|process)_\w+", each)}
    assert named <= known, named - known
    told = set(re.findall(r"`(portway_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    assert told <= known, told - known
    ours = {each for each in families if each.startswith("portway_") and "_process_" not in each}
    assert not {each for each in ours if {each, f"{each}_total"}.isdisjoint(told)}
