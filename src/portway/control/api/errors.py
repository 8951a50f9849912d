"""How a refusal looks to a client: its status, its envelope, and what fault of a request has which code.

::

    {"error_code": "ERR_NGROK_<n>", "status_code": 400, "msg": "…", "details": {"operation_id": "op_…"}}

``error_code`` is left out where there is none. Clients insist on the other three, and on ``details``
holding strings only. Nothing of an internal fault is ever told: its operation id finds it in the log.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from portway.errors import Error, NotFound, StoreUnavailable

UNAUTHENTICATED: Final = (200, 201, 202, 203, 206, 207, 208)
FORBIDDEN: Final = (204, 205, 220, 221, 247, 630, 635)
TOO_MANY: Final = (225, 226)
AWAY: Final = (128,)
ABSENT: Final = (5103, 5123, 5125)

STATUS: Final[Mapping[str, int]] = {
    f"ERR_NGROK_{code}": status
    for status, codes in (
        (401, UNAUTHENTICATED),
        (403, FORBIDDEN),
        (404, ABSENT),
        (429, TOO_MANY),
        (503, AWAY),
    )
    for code in codes
}
"""HTTP status by code. Every other refusal is 400."""

INTERNAL: Final = "The service failed; its log says why under this operation id."
NOT_FOUND: Final = "Resource not found"


class Refusal(Error):
    """A refusal that says its status, and headers, itself."""

    def __init__(
        self, status: int, message: str, code: str | int = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Take what is answered."""
        super().__init__(message, code)
        self.status = status
        self.headers = headers or {}


def status_of(error: Error) -> int:
    """Return the HTTP status of a refusal."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, NotFound):
        return 404
    return 503 if isinstance(error, StoreUnavailable) else STATUS.get(error.code, 400)


def envelope(status: int, message: str, code: str, operation_id: str) -> bytes:
    """Return the body of a refusal."""
    content: dict[str, object] = {"error_code": code} if code else {}
    content |= {"status_code": status, "msg": message, "details": {"operation_id": operation_id}}
    return json.dumps(content).encode()


def from_validation(faults: Sequence[Mapping[str, Any]]) -> Error:
    """Return the refusal for a request that does not fit its schema: its first fault, with its code."""
    fault = faults[0]
    place, *path = (str(part) for part in fault["loc"])
    name = ".".join(path)
    kind, says = str(fault["type"]), str(fault["msg"])
    if place == "body":
        if kind == "extra_forbidden":
            return Error(f"The field {name[:100]!r} is unknown here.", 214)
        return Error(f"The field {name!r} is wrong: {says}.", 215)
    if kind == "string_pattern_mismatch":
        return Error(f"The identifier in {name!r} is not one of this kind of resource.", 227)
    if name == "limit":
        bounded = kind in {"greater_than_equal", "less_than_equal"}
        return Error(f"The page size is wrong: {says}.", 233 if bounded else 244)
    return Error(f"The parameter {name!r} is wrong: {says}.", 230)
