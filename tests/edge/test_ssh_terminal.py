"""What an SSH client reads."""

import pytest
from tests.kit.pipes import spin_until
from tests.kit.ssh import GRANT

from portway.edge import ssh_terminal
from portway.edge.counters import Counters
from portway.edge.ssh_terminal import Terminal
from portway.errors import Error
from portway.model.entities import Grant


class Channel:
    """Writes down what is written."""

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind
        self.written = ""
        self.errors = ""
        self.status: int | None = None
        self.waiting = 0

    def write(self, data: bytes, datatype: int | None = None) -> None:
        assert not self.is_closing()
        if datatype:
            self.errors += data.decode()
        else:
            self.written += data.decode()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_terminal_type(self) -> str | None:
        return self.kind

    def exit(self, status: int) -> None:
        self.status = status

    def is_closing(self) -> bool:
        return self.status is not None


def test_without_a_terminal_lines_are_plain() -> None:
    channel = Channel()
    terminal = Terminal(channel)
    terminal.greet(GRANT, "local", "https://a.b", Counters())
    terminal.changed()
    assert channel.written.splitlines() == [
        "portway",
        "",
        "Account            Good Account (Plan: free)",
        "Region             local",
        "Forwarding         https://a.b",
    ]
    terminal.fail(Error("No.", 316))
    assert channel.errors == "\nERROR:  No.\n\nERR_NGROK_316\n"
    assert channel.status == 1
    terminal.say("late")
    terminal.exit(0)
    assert channel.status == 1


async def test_counts_are_written_in_their_place_and_not_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_terminal, "REFRESH", 0.01)
    channel, counters = Channel("xterm"), Counters()
    terminal = Terminal(channel)
    terminal.greet(GRANT, "local", "https://a.b", counters)
    assert channel.written.endswith("\r\n\r\x1b[2KConnections        0 total, 0 open")
    assert "(Ctrl+C to quit)" in channel.written
    before = channel.written
    for _ in range(50):
        counters.connections += 1
        counters.open += 1
        terminal.changed()
    assert channel.written == before
    await spin_until(lambda: channel.written != before)
    assert channel.written == f"{before}\r\x1b[2KConnections        50 total, 50 open"
    channel.waiting = 10  # the client does not read
    counters.connections += 1
    terminal.changed()
    terminal.fail(Error("No.", 300))
    assert channel.written.endswith("50 open\r\n\r\nERROR:  No.\r\n\r\nERR_NGROK_300\r\n")


def test_an_account_name_is_no_command_for_a_terminal() -> None:
    channel = Channel()
    evil = Grant("ac", "a\x1b]0;x\x07b\r\n", "f", "c")
    Terminal(channel).greet(evil, "local", "u", Counters())
    assert "Account            a]0;xb (Plan: f)\n" in channel.written
