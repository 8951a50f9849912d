"""What the control plane counts of itself, for whoever shows it. Numbers only rise; a restart begins anew."""

from bisect import bisect_left
from typing import Final

import msgspec

from portway.control.ports import Delivered

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: upper bounds of the buckets; a last one takes the rest."""
METHODS: Final = frozenset(("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"))
OTHER: Final = "other"


class Times(msgspec.Struct):
    """How long something took, in buckets."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def took(self, seconds: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class ApiMeasures(msgspec.Struct):
    """Requests of the API: by method and class of the answer's status, such as "GET 2xx"."""

    requests: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    times: Times = msgspec.field(default_factory=Times)

    def answered(self, method: str, status: int, seconds: float) -> None:
        """Count one; ``status`` 0: it was never answered."""
        key = f"{method if method in METHODS else OTHER} {f'{status // 100}xx' if status else 'cut'}"
        self.requests[key] = self.requests.get(key, 0) + 1
        self.times.took(seconds)


class StoreMeasures(msgspec.Struct):
    """Transactions of the store, from asking for a connection to the commit."""

    reads: Times = msgspec.field(default_factory=Times)
    writes: Times = msgspec.field(default_factory=Times)
    failures: int = 0
    """Those that failed because the store could not be used."""
    up: bool = True
    """The last one did not."""


class Expiry(msgspec.Struct):
    """When something ends that must be renewed. ``kind`` is tls_certificate or certificate_authority."""

    kind: str
    id: str
    name: str
    not_after: float
    """Unix seconds."""


class ControlNumbers(msgspec.Struct):
    """All that the control plane tells of itself."""

    destinations: dict[str, Delivered] = msgspec.field(default_factory=dict[str, Delivered])
    api: ApiMeasures = msgspec.field(default_factory=ApiMeasures)
    store: StoreMeasures = msgspec.field(default_factory=StoreMeasures)
    expiries: list[Expiry] = msgspec.field(default_factory=list[Expiry])
