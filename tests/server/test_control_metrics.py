"""Numbers of the control plane on the page of metrics."""

from collections.abc import Mapping

from tests.kit.x509 import make

from portway.control.measures import ControlNumbers, Expiry
from portway.server.control_metrics import DESTINATIONS, collected

Lines = Mapping[tuple[str, ...], float]


def _lines(numbers: ControlNumbers | None, certificate: bytes = b"") -> Lines:
    families = list(collected(numbers, certificate))
    return {(s.name, *s.labels.values()): s.value for each in families for s in each.samples}


def test_the_api_and_the_store() -> None:
    told = ControlNumbers()
    for status in (200, 201, 404):
        told.api.answered("POST", status, 0.02)
    told.store.writes.took(0.3)
    told.store.failures, told.store.up = 2, False
    found = _lines(told)
    assert found["portway_api_requests_total", "POST", "2xx"] == 2
    assert found["portway_api_requests_total", "POST", "4xx"] == 1
    assert found["portway_api_request_duration_seconds_count",] == 3
    assert found["portway_api_request_duration_seconds_bucket", "0.01"] == 0
    assert found["portway_api_request_duration_seconds_bucket", "0.025"] == 3
    assert found["portway_store_transaction_duration_seconds_sum", "write"] == 0.3
    assert (found["portway_store_up",], found["portway_store_failures_total",]) == (0, 2)


def test_ends_of_certificates() -> None:
    told = ControlNumbers(expiries=[Expiry("tls_certificate", "cert_1", "a.example", 1.9e9)])
    made = make()
    found = _lines(told, made.pem.encode())
    name = "portway_certificate_expiry_timestamp_seconds"
    assert found[name, "tls_certificate", "cert_1", "a.example"] == 1.9e9
    assert found[name, "service", "", ""] > 1.7e9


def test_a_control_plane_that_is_away_says_nothing_of_its_store() -> None:
    found = _lines(None)
    assert not any(key[0].startswith("portway_store") for key in found)
    assert found["portway_api_request_duration_seconds_count",] == 0
    assert DESTINATIONS == 1000
