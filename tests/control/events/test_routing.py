"""Which events go where."""

import pytest
from msgspec.structs import replace

from portway.control.events.routing import Routing, sampled
from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.model.event_payload import Traffic
from portway.model.event_types import HTTP
from portway.model.events import EventSource, EventSubscription

REQUEST = HttpRequestComplete(
    account_id="ac_1", client_ip="192.0.2.1", server_port=443, start_ts=1.0, end_ts=2.0, scheme="https",
    host="a.example", method="GET", target="/", status=200,
)  # fmt: skip
CONNECTION = TcpConnectionClosed(account_id="ac_1", client_ip="192.0.2.1", start_ts=1.0, end_ts=2.0)

Chosen = dict[str, tuple[str, ...] | None]


def _subscription(number: int, *sources: EventSource, to: tuple[str, ...] = ("ed_1",)) -> EventSubscription:
    return EventSubscription(f"esb_{number}", "ac_1", "", "", 0.0, sources, to)


def _chosen(routing: Routing, event: Traffic = REQUEST) -> tuple[Chosen, list[str]]:
    unfit: list[str] = []
    return routing.choose(event, "ev_1", lambda to, why: unfit.append(f"{to} {why}")), unfit


@pytest.mark.row("EV-08")
def test_each_destination_gets_an_event_once_with_its_fields() -> None:
    routing = Routing((
        _subscription(1, EventSource(HTTP, fields=("conn.client_ip",)), EventSource("domain_created.v0")),
        _subscription(2, EventSource(HTTP), to=("ed_1", "ed_2")),
    ))  # fmt: skip
    assert _chosen(routing) == ({"ed_1": ("conn.client_ip",), "ed_2": None}, [])
    assert _chosen(routing, CONNECTION) == ({}, [])
    assert _chosen(routing, replace(REQUEST, account_id="ac_2")) == ({}, [])
    assert routing.wanted("ac_1", HTTP)
    assert not routing.wanted("ac_1", "domain_created.v0")


@pytest.mark.row("EV-07")
def test_filters_choose() -> None:
    routing = Routing((
        _subscription(1, EventSource(HTTP, "ev.conn.client_ip != '192.0.2.1'"), to=("ed_1",)),
        _subscription(2, EventSource(HTTP, "ev.conn.server_port == 443"), to=("ed_2",)),
        _subscription(3, EventSource(HTTP, "ev.http.request.headers['X'][0] == 'a'"), to=("ed_3",)),
        _subscription(4, EventSource(HTTP, "this was a filter once ("), to=("ed_4",)),
    ))  # fmt: skip
    chosen, unfit = _chosen(routing)
    assert set(chosen) == {"ed_2"}
    assert len(unfit) == 1
    assert unfit[0].startswith("ed_3 A filter failed")


@pytest.mark.row("EV-16")
def test_sampling_keeps_its_share_of_the_same_events() -> None:
    ids = [f"ev_{number}" for number in range(10_000)]
    kept = [each for each in ids if sampled(each, 0.1)]
    assert abs(len(kept) - 1000) <= 200
    assert [each for each in ids if sampled(each, 0.1)] == kept
    assert set(kept) <= {each for each in ids if sampled(each, 0.5)}
    assert all(sampled(each, None) and sampled(each, 1.0) for each in ids[:10])
    assert not any(sampled(each, 0.0) for each in ids)
