"""Bounds of one account's requests."""

import pytest

from portway.control.api.errors import Refusal
from portway.control.api.load import WINDOW, Load


def refused(load: Load, account: str, now: float) -> str:
    with pytest.raises(Refusal) as raised, load.of(account, now):
        raise AssertionError("it was let in")
    assert raised.value.status == 429
    assert int(raised.value.headers["retry-after"]) >= 1
    return raised.value.code


@pytest.mark.row("C20")
def test_rate() -> None:
    load = Load(2, 0)
    for now in (0.0, 10.0):
        with load.of("a", now):
            pass
    assert refused(load, "a", 20.0) == "ERR_NGROK_226"
    with load.of("b", 20.0), load.of("a", WINDOW + 0.1):
        pass
    assert refused(load, "a", WINDOW + 0.2) == "ERR_NGROK_226"


@pytest.mark.row("C20")
def test_parallel() -> None:
    load = Load(0, 2)
    with load.of("a", 0.0), load.of("a", 0.0):
        assert "running=2" in repr(load)
        assert refused(load, "a", 0.0) == "ERR_NGROK_225"
        with load.of("b", 0.0):
            pass
    with load.of("a", 0.0):
        pass
    assert "running=0" in repr(load)


def test_off() -> None:
    load = Load(0, 0)
    for _ in range(500):
        with load.of("a", 0.0), load.of("a", 0.0):
            pass
