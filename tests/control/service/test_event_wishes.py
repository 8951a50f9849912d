"""Which events need the fields of heads."""

import pytest

from portway.control.service.event_wishes import wants_headers
from portway.model.event_types import HTTP, TCP
from portway.model.events import EventSource


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (EventSource(TCP), False),
        (EventSource(HTTP), True),
        (EventSource(HTTP, fields=("conn.client_ip",)), False),
        (EventSource(HTTP, fields=("conn.client_ip", "http.response.headers")), True),
        (EventSource(HTTP, "ev.conn.server_port == 1", ("conn.client_ip",)), False),
        (EventSource(HTTP, "size(ev.http.request.headers) > 1", ("conn.client_ip",)), True),
        (EventSource(HTTP, "size(ev.http.request) > 1", ("conn.client_ip",)), True),
    ],
)
def test_heads(source: EventSource, wanted: bool) -> None:
    assert wants_headers(source) is wanted
