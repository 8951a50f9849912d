"""Being told by the service to stop, to restart and to update."""

import os
import sys
from datetime import UTC, datetime

import pytest

from portway import Agent, RPCRequest
from portway.agent.info import session_info
from portway.agent.resume import Resumption
from portway.cli import remote
from portway.cli.remote import HANDED_ON, Remote
from portway.cli.status import Status
from portway.cli.watch import Watcher
from portway.errors import ConfigError
from portway.wire.messages import AuthResp, Bind

SESSION = session_info(Agent(), AuthResp(), datetime.now(UTC))
KEPT = Resumption("id", "cookie", [Bind(id="ep_1", proto="tcp", opts={"Addr": "x:1"})])


def test_updates_are_somebody_elses() -> None:
    handler = Remote(Watcher(Status(version="0"), None))
    assert handler.unsupported()["UpdateAgent"] == remote.NO_UPDATES
    with pytest.raises(ConfigError, match="installed it"):
        handler(SESSION, RPCRequest("UpdateAgent"))
    assert handler.asked == ""


def test_where_no_program_can_take_anothers_place_restarts_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote.os, "name", "nt")
    handler = Remote(Watcher(Status(version="0"), None))
    assert set(handler.unsupported()) == {"UpdateAgent", "RestartAgent"}
    with pytest.raises(ConfigError, match="cannot run"):
        handler(SESSION, RPCRequest("RestartAgent"))


def test_a_run_hands_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, list[str], dict[str, str]]] = []

    def execve(program: str, arguments: list[str], environ: dict[str, str]) -> None:
        ran.append((program, arguments, environ))

    monkeypatch.setattr(remote.os, "execve", execve)
    remote.run_again(KEPT)
    [(program, arguments, environ)] = ran
    assert program == arguments[0] == sys.executable
    assert arguments[1:] == sys.orig_argv[1:]
    assert os.get_inheritable(int(environ[HANDED_ON]))
    monkeypatch.setenv(HANDED_ON, environ[HANDED_ON])
    again = remote.handed_on()
    assert again is not None
    assert (again.client_id, again.cookie, [bind.id for bind in again.binds]) == ("id", "cookie", ["ep_1"])
    assert HANDED_ON not in os.environ
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(int(environ[HANDED_ON]))


def test_an_interpreter_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.sys, "executable", "/nowhere/python")
    closed: list[int] = []
    monkeypatch.setattr(remote.os, "close", closed.append)
    with pytest.raises(ConfigError, match="/nowhere/python"):
        remote.run_again(KEPT)
    monkeypatch.undo()
    for descriptor in closed:
        os.close(descriptor)
    assert closed


@pytest.mark.parametrize("value", ["", "x", "-1", "999999"])
def test_nothing_handed_on_is_nothing(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(HANDED_ON, value)
    assert remote.handed_on() is None


def test_what_cannot_be_read_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"not it")
    os.close(writing)
    monkeypatch.setenv(HANDED_ON, str(reading))
    assert remote.handed_on() is None
