"""The methods of ngrok's Python client for events, called on a real service."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.kit.client_methods import Run

DATADOG: Final = {"datadog": {"api_key": "k", "ddsite": "datadoghq.eu", "service": "s", "ddtags": "a:b"}}
HTTP: Final = "http_request_complete.v0"
AUDIT: Final = "ip_policy_created.v0"
TCP: Final = "tcp_connection_closed.v0"


def events(run: "Run") -> None:
    """Act all of it out."""
    with run.thing("event_destinations", {"target": DATADOG, "format": "json"}) as to:
        assert to["target"]["datadog"]["ddsite"] == "datadoghq.eu"
        assert to["target"]["firehose"] is None
        create: dict[str, Any] = {"sources": [{"type": HTTP}, {"type": AUDIT}], "destination_ids": [to["id"]]}
        with run.thing("event_subscriptions", create) as made:
            assert [each["type"] for each in made["sources"]] == [HTTP, AUDIT]
            _sources(run, made["id"])
            left = run.call("event_subscriptions.get", id=made["id"])
            assert [each["type"] for each in left["sources"]] == [HTTP, AUDIT], "an update keeps them"
            run.refused("event_destinations.delete", 5112, id=to["id"])
    role = {"role": {"role_arn": "arn:aws:iam::123456789012:role/x"}}
    stream = {"firehose": {"delivery_stream_arn": "arn:aws:firehose:x:1:deliverystream/y", "auth": role}}
    cloud = run.client("event_destinations.create", target=stream)
    assert cloud["target"]["firehose"]["auth"]["role"]["role_arn"] == role["role"]["role_arn"]
    run.client("event_destinations.delete", id=cloud["id"])


def _sources(run: "Run", subscription: str) -> None:
    """Add a source, read it, change it, and take it away."""
    made = run.call("event_sources.create", subscription_id=subscription, type=TCP)
    named = {"subscription_id": subscription, "type": TCP}
    assert run.call("event_sources.get", **named) == made
    assert made in run.call("event_sources.list", subscription_id=subscription)["sources"]
    assert run.call("event_sources.update", **named) == made
    run.call("event_sources.delete", **named)
    run.refused("event_sources.get", 5125, **named)
