"""Events posted to a URL."""

import gzip
import hashlib
import hmac
import json

import pytest
from tests.kit.receivers import Answer, Receiver, item

from portway.control.events.sending import Undelivered, signature
from portway.control.events.webhook import Webhook

NOW = 1_800_000_000.9


@pytest.mark.row("EV-14")
@pytest.mark.parametrize("coded", [False, True])
async def test_the_signature_covers_the_time_and_the_body_as_it_is_sent(coded: bool) -> None:
    receiver = Receiver()
    settings = {"url": "http://x", "secret": "s3cret", "gzip": coded, "headers": {"x-key": "k"}}
    await Webhook(settings, receiver, lambda: NOW).send([item(1), item(2)])
    ((url, headers, body),) = receiver.got
    timestamp, given = headers["portway-timestamp"], headers["portway-signature"]
    expected = hmac.new(b"s3cret", f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert (url, timestamp, given, headers["x-key"]) == ("http://x", "1800000000", f"v1={expected}", "k")
    assert [each["event_id"] for each in receiver.bodies[0]] == ["ev_1", "ev_2"]
    assert (gzip.decompress(body)[:1] == b"[") if coded else body[:1] == b"["


@pytest.mark.row("EV-14")
async def test_a_body_that_is_sent_again_later_keeps_its_old_time() -> None:
    receiver = Receiver()
    await Webhook({"url": "http://x", "secret": "s"}, receiver, lambda: NOW).send([item(1)])
    ((_, headers, body),) = receiver.got
    assert headers["portway-signature"] != f"v1={signature('s', str(int(NOW) + 600), body)}"
    assert int(headers["portway-timestamp"]) < NOW + 600 - 300


async def test_without_a_secret_nothing_is_signed() -> None:
    receiver = Receiver()
    await Webhook({"url": "http://x"}, receiver, lambda: NOW).send([item(1)])
    assert "portway-signature" not in receiver.got[0][1]


async def test_lines_and_single_events() -> None:
    receiver = Receiver()
    await Webhook({"url": "http://x", "body": "ndjson"}, receiver, lambda: NOW).send([item(1), item(2)])
    await Webhook({"url": "http://x", "body": "single"}, receiver, lambda: NOW).send([item(3), item(4)])
    lines = receiver.got[0][2].splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["ev_1", "ev_2"]
    assert receiver.got[0][1]["content-type"] == "application/x-ndjson"
    assert [json.loads(got[2])["event_id"] for got in receiver.got[1:]] == ["ev_3", "ev_4"]


async def test_which_of_single_events_arrived_is_said() -> None:
    receiver = Receiver(plan=[Answer(), Answer(500, b"later")])
    with pytest.raises(Undelivered) as caught:
        await Webhook({"url": "http://x", "body": "single"}, receiver, lambda: NOW).send([item(1), item(2)])
    assert (caught.value.done, caught.value.final) == (1, False)
