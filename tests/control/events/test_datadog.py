"""Datadog's intake, played by a stub."""

import json

import pytest
from tests.kit.receivers import Answer, Receiver, item

from portway.control.events.datadog import Datadog
from portway.control.events.sending import Undelivered


@pytest.mark.row("EV-10")
async def test_logs_are_coded_with_gzip_and_have_their_key() -> None:
    receiver = Receiver()
    settings = {"api_key": "k", "ddsite": "http://127.0.0.1:9", "service": "s", "ddtags": "a:b"}
    await Datadog(settings, receiver).send([item(1), item(2)])
    ((url, headers, _),) = receiver.got
    assert url == "http://127.0.0.1:9/api/v2/logs"
    assert (headers["dd-api-key"], headers["content-encoding"]) == ("k", "gzip")
    first, second = receiver.bodies[0]
    assert (first["ddsource"], first["service"], first["ddtags"]) == ("portway", "s", "a:b")
    assert [json.loads(each["message"])["event_id"] for each in (first, second)] == ["ev_1", "ev_2"]


async def test_a_wrong_key_is_final() -> None:
    with pytest.raises(Undelivered) as caught:
        await Datadog({"api_key": "k"}, Receiver(plan=[Answer(403, b"Forbidden")])).send([item(1)])
    assert caught.value.final
    assert "403: Forbidden" in caught.value.message


@pytest.mark.parametrize(
    ("site", "url"),
    [
        ("", "https://http-intake.logs.datadoghq.com/api/v2/logs"),
        ("datadoghq.eu", "https://http-intake.logs.datadoghq.eu/api/v2/logs"),
        ("http://x:1/", "http://x:1/api/v2/logs"),
        ("http://x:1/own", "http://x:1/own"),
    ],
)
def test_sites(site: str, url: str) -> None:
    assert Datadog({"ddsite": site}, Receiver()).url == url
