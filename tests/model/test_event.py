"""The event values."""

import typing

import msgspec
import pytest

from portway.model import event


def kinds() -> tuple[type[event.Event], ...]:
    return typing.get_args(event.Event)


def names(kind: type[event.Event]) -> set[str]:
    return set(kind.__struct_fields__)


def test_every_event_is_frozen_slotted_and_has_a_line() -> None:
    assert len(kinds()) == 7
    lines = {kind.line for kind in kinds()}
    assert len(lines) == 7
    for kind in kinds():
        assert issubclass(kind, msgspec.Struct)
        assert "line" not in names(kind)


def test_an_event_cannot_be_changed() -> None:
    offline = event.EndpointOffline(endpoint_id="ep_1", url="tcp://localhost:20000", offline_at=1.0)
    with pytest.raises(AttributeError):
        offline.reason = "other"  # pyright: ignore[reportAttributeAccessIssue]
    closed = event.TcpConnectionClosed(client_ip="", start_ts=1.0, end_ts=2.0)
    with pytest.raises(AttributeError):
        closed.bytes_in = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_a_request_needs_only_what_is_always_known() -> None:
    done = event.HttpRequestComplete(
        client_ip="127.0.0.1",
        start_ts=1.0,
        end_ts=1.5,
        scheme="http",
        host="a.portway.localhost",
        method="GET",
        target="/x?y",
        status=200,
    )
    assert done.version == "HTTP/1.1"
    assert not done.aborted


def test_a_closed_connection_has_the_published_fields_of_part_one() -> None:
    published = "client_ip server_ip server_name server_port start_ts end_ts bytes_in bytes_out"
    assert set(published.split()) <= names(event.TcpConnectionClosed)


def test_what_first_went_wrong_in_a_policy_is_told_in_a_line() -> None:
    said = (
        event.Diagnostic("on_http_request[0]", "matched", ""),
        event.Diagnostic(
            "on_http_request[1] (mine)", "expression error", "vars.x == 1: there is no key", 2254
        ),
        event.Diagnostic("on_http_request[1] (mine)", "refused", "a rule that guards", 2254),
    )
    request = event.HttpRequestComplete(
        client_ip="::1", scheme="https", start_ts=1.0, end_ts=2.0, host="a", method="GET", target="/",
        status=500, traffic_policy_diagnostics=said,
    )  # fmt: skip
    assert request.policy_error == "on_http_request[1] (mine): vars.x == 1: there is no key"
    closed = event.TcpConnectionClosed(client_ip="::1", start_ts=1.0, end_ts=2.0)
    assert closed.policy_error == ""
    endless = (event.Diagnostic("r", "failed", "x" * 10_000, 2300),)
    longest = event.TcpConnectionClosed(
        client_ip="::1", start_ts=1.0, end_ts=2.0, traffic_policy_diagnostics=endless
    )
    assert len(longest.policy_error) == event.ERROR
