"""The session's channel of an SSH client."""

from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from tests.kit.ssh import running_ssh

from portway.edge.ssh_shell import Shell
from portway.model.event import EndpointOffline


class Heard:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def commanded(self, channel: object, command: str | None) -> None:
        self.all.append(command)

    def quit(self) -> None:
        self.all.append("quit")

    def left(self) -> None:
        self.all.append("left")


class Channel:
    """A channel with a terminal, or without."""

    def __init__(self, kind: str | None) -> None:
        self.kind = kind

    def get_terminal_type(self) -> str | None:
        return self.kind


@pytest.mark.parametrize(("kind", "heard"), [("xterm", ["http", "quit", "left"]), (None, ["http", "left"])])
def test_ctrl_c_is_one_on_a_terminal_only(kind: str | None, heard: list[object]) -> None:
    listener = Heard()
    shell = Shell(listener)
    shell.connection_made(cast("Any", Channel(kind)))
    assert shell.exec_requested("http")
    shell.session_started()
    shell.data_received(b"abc", None)
    shell.data_received(b"a\x03", None)
    assert shell.eof_received()
    shell.connection_lost(None)
    assert listener.all == heard


def test_signals_and_breaks_end_it() -> None:
    listener = Heard()
    shell = Shell(listener)
    shell.signal_received("WINCH")
    assert listener.all == []
    shell.signal_received("INT")
    assert shell.break_received(100)
    assert listener.all == ["quit", "quit"]
    assert shell.shell_requested()
    assert shell.pty_requested("xterm", (1, 1, 1, 1), {})
    assert "4" in repr(shell) or "0" in repr(shell)


def nothing(_host: str, _port: int) -> Any:
    return False


async def test_ctrl_c_closes_the_endpoint_and_is_no_failure(tmp_path: Path) -> None:
    async with running_ssh(tmp_path) as service, await service.connect() as connection:
        listening = connection.create_server(nothing, "localhost", 443)
        process = await connection.create_process("http", term_type="xterm", stdin=asyncssh.PIPE)
        await listening
        await process.stdout.readuntil("open")
        process.stdin.write("\x03")
        result = await process.wait()
        assert result.exit_status == 0
        assert (await service.events.next(EndpointOffline)).reason == "closed by the client"
