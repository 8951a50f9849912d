"""Cloud endpoints: those that the service answers itself, without an agent.

Their URL is whole: nothing of it is left to the service. What is wrong with one has its own codes,
beside those of the agents' endpoints (:mod:`portway.model.url`).
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

import msgspec

from portway.errors import Error
from portway.model.url import SCHEMES, Binding, Url, parse_endpoint_url

BINDINGS: Final[tuple[Binding, ...]] = ("public", "internal", "kubernetes")

_CODES: Final = {
    "ERR_NGROK_9029": 9029,
    "ERR_NGROK_9030": 18003,
    "ERR_NGROK_9033": 18003,
    "ERR_NGROK_9035": 18023,
    "ERR_NGROK_9036": 18022,
}
"""The code of an endpoint's URL to that of a cloud endpoint's; all others are 18001."""


class CloudEndpoint(msgspec.Struct, frozen=True):
    """One of them. Times are Unix seconds.

    ``domain_id`` or ``tcp_addr_id`` is what the account has reserved for it; an internal one needs none.
    """

    id: str
    account_id: str
    url: str
    binding: str
    pooling_enabled: bool
    traffic_policy: str
    description: str
    metadata: str
    created_at: float
    updated_at: float
    domain_id: str | None = None
    tcp_addr_id: str | None = None


def parse_binding(bindings: Sequence[str]) -> Binding | None:
    """Return the binding that is asked for, None for the one that the host implies.

    Raises Error 15005, 15006, or 15010 as no Kubernetes operator is known here.
    """
    for name in bindings:
        if name not in BINDINGS:
            raise Error(f"The binding {name!r} is unknown; use one of {', '.join(BINDINGS)}.", 15005)
    if len(set(bindings)) < len(bindings):
        raise Error("A binding is given twice.", 15006)
    if len(bindings) > 1:
        raise Error("An endpoint has exactly one binding.", 15005)
    if "kubernetes" in bindings:
        raise Error("No Kubernetes operator is connected to this service.", 15010)
    return cast("Binding", bindings[0]) if bindings else None


def parse_url(text: str, binding: Binding | None, public_ports: Mapping[str, int]) -> tuple[Url, Binding]:
    """Read and fold the URL of a cloud endpoint; return its binding too.

    Raises Error 18022 without a scheme of ours, 18003 when the port is missing or none, 18023 for one that
    the scheme does not have here, 9029 when host and binding do not fit, 18001 for all else.
    """
    asked = text.strip()
    scheme, separator, rest = asked.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        wanted = ", ".join(f"{each}://" for each in SCHEMES)
        raise Error(f"The URL {asked[:300]!r} needs a scheme; use one of {wanted}.", 18022)
    if scheme.lower() == "tcp" and rest and ":" not in rest:
        raise Error(f"The URL {asked[:300]!r} needs a port: tcp://HOST:PORT.", 18003)
    try:
        url = parse_endpoint_url(asked, binding=binding, public_ports=public_ports)
    except Error as error:
        raise Error(error.message, _CODES.get(error.code, 18001)) from error
    if url.is_random:
        raise Error(f"The URL {asked!r} has no host; that of a cloud endpoint is whole.", 18001)
    return url, binding or ("internal" if url.is_internal else "public")
