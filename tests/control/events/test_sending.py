"""What every way of sending has in common."""

import pytest
from tests.kit.receivers import Answer, Receiver

from portway.control.events.sending import SAID, Undelivered, post, zipped


@pytest.mark.parametrize(
    ("status", "final"), [(302, True), (400, True), (404, True), (429, False), (502, False)]
)
async def test_statuses(status: int, final: bool) -> None:
    with pytest.raises(Undelivered) as caught:
        await post(Receiver(plan=[Answer(status, b"x" * 1000)]), "http://x", {}, b"", 1)
    assert caught.value.final is final
    assert len(caught.value.message) < SAID + 50


async def test_success() -> None:
    for status in (200, 202, 204):
        await post(Receiver(plan=[Answer(status)]), "http://x", {}, b"", 1)


def test_the_same_body_is_coded_the_same() -> None:
    assert zipped(b"abc") == zipped(b"abc")
