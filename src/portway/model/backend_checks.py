"""What the fields of a backend may be, kind by kind."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from portway.errors import Error
from portway.model.edge import check_labels

CHILDREN: Final = 100
"""Backends that one weighted (6511) or failover (6513) backend names at most."""
WEIGHT: Final = 10_000
"""The largest weight; another is ERR_NGROK_6512."""
BODY: Final = 65_536
"""Bytes of the body of an HTTP response; more are ERR_NGROK_6516."""
HEADER_NAME: Final = 255
"""Bytes of a header's name; more are ERR_NGROK_6522."""
HEADER_VALUE: Final = 4096
"""Bytes of a header's value; more are ERR_NGROK_6523."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9a-fA-F:.]+\]").fullmatch

Spec = Mapping[str, Any]


def check_spec(kind: str, spec: Spec) -> dict[str, Any]:
    """Return the fields of a backend as they are kept. Raises Error 6505–6523 or 6531."""
    return _CHECKS[kind](spec)


def split_address(address: str) -> tuple[str, int]:
    """Part the address of a static backend. Raises Error 6505, 6506 or 6507."""
    host, colon, digits = address.rpartition(":")
    if not colon or not (digits.isascii() and digits.isdigit()):
        raise Error(f"The address {address[:300]!r} is not of the form host:port.", 6505)
    if not host:
        raise Error("The address of a static backend needs a host.", 6507)
    port = int(digits) if len(digits) <= 5 else 0
    if not 1 <= port <= 65_535 or len(host) > 255 or not _HOST(host):
        raise Error(f"The address {address[:300]!r} is no host and port.", 6506)
    return host.strip("[]"), port


def _group(spec: Spec) -> dict[str, Any]:
    labels = cast("dict[str, str]", spec.get("labels") or {})
    check_labels(labels)
    return {"labels": labels}


def _weighted(spec: Spec) -> dict[str, Any]:
    children = cast("dict[str, int]", spec.get("backends") or {})
    if len(children) > CHILDREN:
        raise Error(f"A weighted backend names at most {CHILDREN} backends.", 6511)
    for child, weight in children.items():
        if not 0 <= weight <= WEIGHT:
            raise Error(f"The weight of {child[:80]!r} is outside 0–{WEIGHT}.", 6512)
    return {"backends": children}


def _failover(spec: Spec) -> dict[str, Any]:
    children = list(dict.fromkeys(cast("Sequence[str]", spec.get("backends") or ())))
    if len(children) > CHILDREN:
        raise Error(f"A failover backend names at most {CHILDREN} backends.", 6513)
    return {"backends": children}


def _static(spec: Spec) -> dict[str, Any]:
    address = str(spec.get("address") or "")
    split_address(address)
    tls = cast("Mapping[str, object]", spec.get("tls") or {})
    return {"address": address, "tls": {"enabled": bool(tls.get("enabled"))}}


def _response(spec: Spec) -> dict[str, Any]:
    body, status = str(spec.get("body") or ""), int(spec.get("status_code") or 200)
    headers = cast("dict[str, str]", spec.get("headers") or {})
    if len(body.encode()) > BODY:
        raise Error(f"The body of an HTTP response has at most {BODY} bytes.", 6516)
    if not 200 <= status <= 599:
        raise Error(f"The status code {status} is outside 200–599.", 6517)
    for name, value in headers.items():
        if len(name.encode()) > HEADER_NAME or not _TOKEN(name):
            raise Error(f"The header name {name[:80]!r} is too long or no name.", 6522)
        if len(value.encode()) > HEADER_VALUE or not value.isprintable():
            raise Error(f"The value of the header {name!r} is too long or not printable.", 6523)
    return {"body": body, "headers": headers, "status_code": status}


_CHECKS: Final[Mapping[str, Callable[[Spec], dict[str, Any]]]] = {
    "tunnel_group": _group,
    "weighted": _weighted,
    "failover": _failover,
    "static": _static,
    "http_response": _response,
}
