"""Standard output, and the log."""

import logging

import pytest
from tests.kit.receivers import Answer, Printed, Receiver, item

from portway.control.events.local import Debug, Stdout
from portway.control.events.sending import Undelivered


@pytest.mark.row("EV-10")
async def test_standard_output_has_one_line_an_event() -> None:
    printed = Printed()
    await Stdout(printed).send([item(1), item(2)])
    assert printed.lines == [item(1).body, item(2).body]


@pytest.mark.row("EV-10")
async def test_debug_writes_to_the_log_unless_there_is_a_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    receiver = Receiver()
    await Debug({}, receiver).send([item(1)])
    assert [record.message for record in caplog.records] == ["event ev_1"]
    await Debug({"callback_url": "http://x"}, receiver).send([item(2)])
    assert len(caplog.records) == 1
    assert receiver.bodies[0]["event_id"] == "ev_2"
    await Debug({"callback_url": "http://x", "log": True}, receiver).send([item(3)])
    assert len(caplog.records) == 2


async def test_which_events_the_callback_has_is_said() -> None:
    receiver = Receiver(plan=[Answer(), Answer(503)])
    with pytest.raises(Undelivered) as caught:
        await Debug({"callback_url": "http://x"}, receiver).send([item(1), item(2)])
    assert caught.value.done == 1
