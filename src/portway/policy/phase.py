"""The phases of a policy, and which of them an endpoint has."""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """When rules run; the value is the key in a document."""

    TCP_CONNECT = "on_tcp_connect"
    HTTP_REQUEST = "on_http_request"
    HTTP_RESPONSE = "on_http_response"
    EVENT_STREAM_MESSAGE = "on_event_stream_message"


HTTP_PHASES: Final = frozenset((Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE, Phase.EVENT_STREAM_MESSAGE))
HTTP: Final = frozenset(("http", "https"))
ALL_PROTOCOLS: Final = frozenset(("http", "https", "tcp", "tls"))

PHASES: Final[dict[str, frozenset[Phase]]] = {
    "http": frozenset(Phase),
    "https": frozenset(Phase),
    "tls": frozenset((Phase.TCP_CONNECT,)),
    "tcp": frozenset((Phase.TCP_CONNECT,)),
}
"""Protocol of an endpoint → the phases that it has. Internal http(s) endpoints lack the first one."""


def main_phase(protocol: str) -> Phase:
    """Return the phase in which a cloud endpoint of this protocol must find its outcome."""
    return Phase.HTTP_REQUEST if protocol in HTTP else Phase.TCP_CONNECT
