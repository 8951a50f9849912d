"""Events as log records of OpenTelemetry, over HTTP: JSON or protobuf.

A record's body is the event, JSON; its time, type, identifier and account are attributes too. Protobuf is
written here by hand: six messages of the OTLP schema (opentelemetry/proto/logs/v1/logs.proto), each a
few fields.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from portway.control.events.outbox import Item
from portway.control.events.sending import TIMEOUT, Poster, post

SEVERITY: Final = 9
"""INFO."""
SERVICE: Final = "portway"
SCOPE: Final = "portway.events"


class Otlp:
    """Posts events to one collector."""

    batch_size = 500
    batch_seconds = 1.0

    def __init__(self, settings: Mapping[str, Any], poster: Poster) -> None:
        """Take the settings, secrets too."""
        self._settings = settings
        self._poster = poster
        self._binary = settings.get("protocol") == "http/protobuf"

    async def send(self, items: Sequence[Item]) -> None:
        """Post the events. Raises Undelivered."""
        headers: dict[str, str] = dict(self._settings.get("headers") or {})
        headers["content-type"] = "application/x-protobuf" if self._binary else "application/json"
        headers["user-agent"] = "portway-events"
        body = as_protobuf(items) if self._binary else as_json(items)
        await post(self._poster, self._settings["endpoint"], headers, body, TIMEOUT)


def as_json(items: Sequence[Item]) -> bytes:
    """Write a request of the logs service as JSON."""
    records = [
        {
            "timeUnixNano": str(_nanoseconds(item)),
            "observedTimeUnixNano": str(_nanoseconds(item)),
            "severityNumber": SEVERITY,
            "severityText": "INFO",
            "body": {"stringValue": item.body.decode()},
            "attributes": [_attribute(*each) for each in _attributes(item)],
            "eventName": item.kind,
        }
        for item in items
    ]
    logs = {"scope": {"name": SCOPE}, "logRecords": records}
    resource = {"attributes": [_attribute("service.name", SERVICE)]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [logs]}]}).encode()


def as_protobuf(items: Sequence[Item]) -> bytes:
    """Write a request of the logs service as protobuf."""
    resource = _message(1, _key_value("service.name", SERVICE))
    logs = _message(1, _text(1, SCOPE)) + b"".join(_message(2, _record(item)) for item in items)
    return _message(1, _message(1, resource) + _message(2, logs))


def _record(item: Item) -> bytes:
    return b"".join(
        (
            _fixed64(1, _nanoseconds(item)),
            _varint(2 << 3) + _varint(SEVERITY),
            _text(3, "INFO"),
            _message(5, _message(1, item.body)),
            *(_message(6, _key_value(*each)) for each in _attributes(item)),
            _fixed64(11, _nanoseconds(item)),
            _text(12, item.kind),
        )
    )


def _attributes(item: Item) -> Iterable[tuple[str, str]]:
    return ("event.id", item.id), ("event.type", item.kind), ("account.id", item.account_id)


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _nanoseconds(item: Item) -> int:
    return int(item.at * 1_000_000) * 1000


def _key_value(key: str, value: str) -> bytes:
    return _text(1, key) + _message(2, _text(1, value))


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _fixed64(field: int, value: int) -> bytes:
    return _varint(field << 3 | 1) + value.to_bytes(8, "little")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
