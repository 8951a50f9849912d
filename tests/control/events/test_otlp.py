"""Log records of OpenTelemetry, read by its own schema."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from tests.kit.receivers import Receiver, item

from portway.control.events.otlp import Otlp, as_protobuf


@pytest.mark.row("EV-10")
async def test_json_and_protobuf_say_the_same() -> None:
    receiver = Receiver()
    items = [item(1), item(2, size=300)]
    await Otlp({"endpoint": "http://c/v1/logs", "headers": {"x": "y"}}, receiver).send(items)
    await Otlp({"endpoint": "http://c/v1/logs", "protocol": "http/protobuf"}, receiver).send(items)
    (_, plain, _), (_, binary, body) = receiver.got
    assert (plain["content-type"], plain["x"]) == ("application/json", "y")
    assert binary["content-type"] == "application/x-protobuf"
    read: Any = ExportLogsServiceRequest()
    assert read.ParseFromString(body) == len(body)
    said: dict[str, Any] = MessageToDict(read, use_integers_for_enums=True)
    assert said == receiver_json(receiver)
    assert as_protobuf(items) == body


def receiver_json(receiver: Receiver) -> Any:
    """Return the first body, which is JSON."""
    import json

    return json.loads(receiver.got[0][2])
