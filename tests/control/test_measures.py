"""What the control plane counts of itself."""

import msgspec

from portway.control.measures import BOUNDS, ApiMeasures, ControlNumbers, Times
from portway.control.ports import Delivered


def test_times_are_in_buckets() -> None:
    times = Times()
    for seconds in (0.0, 0.001, 0.3, 99.0):
        times.took(seconds)
    assert (times.buckets[0], times.buckets[BOUNDS.index(0.5)], times.buckets[-1]) == (2, 1, 1)
    assert times.seconds == 99.301


def test_requests_have_few_kinds() -> None:
    api = ApiMeasures()
    for method, status in (("GET", 200), ("GET", 204), ("BREW", 405), ("POST", 0)):
        api.answered(method, status, 0.1)
    assert api.requests == {"GET 2xx": 2, "other 4xx": 1, "POST cut": 1}


def test_all_of_it_passes_the_channel() -> None:
    told = ControlNumbers(destinations={"ed_1": Delivered(1, 2, 3, 4, "no")})
    told.store.writes.took(0.2)
    assert msgspec.json.decode(msgspec.json.encode(told), type=ControlNumbers) == told
