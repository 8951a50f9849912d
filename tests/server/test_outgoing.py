"""Tests of the guard that a configuration makes."""

from pathlib import Path

from portway.server.config import load
from portway.server.outgoing import guard_of


def test_the_guard_knows_the_setting_and_the_listeners(tmp_path: Path) -> None:
    flags = {
        "data_dir": str(tmp_path),
        "outgoing_allow": "10.1.0.0/16, ::1",
        "listen_http": "198.51.100.7:80",
    }
    guard = guard_of(load(flags, {}).edge, [41_000])
    assert guard.strict().refusal("10.1.2.3", 80) == ""
    assert guard.refusal("::1", 80) == ""
    assert guard.refusal("127.0.0.1", 80)
    assert "listener" in guard.refusal("198.51.100.7", 80)
    assert "listener" in guard.refusal("198.51.100.7", 20_500)
    assert guard.owns(4443)
    assert guard.owns(41_000)
    assert guard.refusal("198.51.100.7", 81) == ""
