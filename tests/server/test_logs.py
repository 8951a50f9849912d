"""The log: it blocks nobody, tells no secret, and loses nothing in silence."""

import asyncio
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kit.slow import drain, fill, pipe_ends

from portway.model import event as events
from portway.model.ids import new_id, new_token
from portway.server import logs
from portway.server.config import LogConfig
from portway.server.logs import GATHERED_LIMIT, Log

JSON = LogConfig("json", "info", access=True)
AT = 1_800_000_000.0


def request(target: str = "/", user_agent: str = "") -> events.HttpRequestComplete:
    return events.HttpRequestComplete(
        client_ip="127.0.0.1", start_ts=AT, end_ts=AT, scheme="http", host="a", method="GET", status=200,
        target=target, user_agent=user_agent,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    yield path, descriptor
    os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    yield from pipe_ends()


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


async def turn() -> None:
    """Let callbacks that are due run."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_events_of_one_turn_are_written_at_once(
    file: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, descriptor = file
    writes: list[int] = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if fd == descriptor:
            writes.append(data.count(b"\n"))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    log = Log(JSON, descriptor)
    for n in range(50):
        log.emit(request(target=f"/{n}"))
    assert writes == []
    await turn()
    assert writes == [50]
    lines = path.read_text().splitlines()
    assert [json.loads(line)["target"] for line in lines] == [f"/{n}" for n in range(50)]


def test_without_a_loop_an_event_is_written_at_once(file: tuple[Path, int]) -> None:
    path, descriptor = file
    log = Log(JSON, descriptor)
    log.emit(request())
    assert len(path.read_text().splitlines()) == 1
    log.finish()


@pytest.mark.parametrize(("config", "shown"), [
    (LogConfig("json", "info", access=True), ["http request", "agent session started", "endpoint online"]),
    (LogConfig("json", "info", access=False), ["agent session started", "endpoint online"]),
    (LogConfig("json", "warning", access=True), ["agent session started"]),
    (LogConfig("json", "error", access=True), []),
])  # fmt: skip
def test_level_and_access_log_choose(file: tuple[Path, int], config: LogConfig, shown: list[str]) -> None:
    path, descriptor = file
    log = Log(config, descriptor)
    log.emit(request())
    log.emit(events.AgentSessionStarted(agent_ip="127.0.0.1", started_at=AT, error="no"))
    log.emit(events.EndpointOnline(endpoint_id="ep", url="http://a", proto="http", online_at=AT))
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == shown


@pytest.mark.usefixtures("root_logger")
def test_stdlib_records_and_warnings_come_here(file: tuple[Path, int]) -> None:
    import warnings

    path, descriptor = file
    logs.start(JSON, descriptor)
    logger = logging.getLogger("portway.test")
    logger.debug("not shown")
    logger.info("one %s", "argument")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("beware", stacklevel=1)
    thread = threading.Thread(target=logger.error, args=("from a thread",), daemon=True)
    thread.start()
    thread.join()
    said = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["event"] for each in said][0::2] == ["one argument", "from a thread"]
    assert "beware" in said[1]["event"]
    assert said[0]["logger"] == "portway.test"


@pytest.mark.usefixtures("root_logger")
def test_an_event_that_is_none_of_ours_is_only_mentioned(file: tuple[Path, int]) -> None:
    path, descriptor = file
    logs.start(JSON, descriptor).emit(object())
    assert "does not know: object" in json.loads(path.read_text())["event"]


@pytest.mark.usefixtures("root_logger")
def test_a_record_that_cannot_be_made_ends_nothing(
    file: tuple[Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    _, descriptor = file
    logs.start(JSON, descriptor)
    logging.getLogger("portway.test").info("%d", "no number")
    assert "no number" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_token_is_ever_written(file: tuple[Path, int], form: str) -> None:
    path, descriptor = file
    token = new_token(new_id("cr", secrets.token_bytes, AT), secrets.token_bytes)
    log = Log(LogConfig(form, "info", access=True), descriptor)
    log.emit(request(target=f"/?token={token}&x", user_agent=token))
    log.record(logging.LogRecord("x", logging.ERROR, "f", 1, "wrong token %s!", (token,), None))
    text = path.read_text()
    assert token not in text
    assert token[28:] not in text
    assert text.count("[hidden]") == 3


async def test_kept_lines_follow_once_there_is_room(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    log = Log(JSON, writing)
    log.emit(request())
    await turn()
    drain(reading)
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(reading, arrived.set)
    async with asyncio.timeout(10):
        await arrived.wait()
    asyncio.get_running_loop().remove_reader(reading)
    assert json.loads(drain(reading))["event"] == "http request"


async def test_a_turn_of_very_many_events_loses_none(file: tuple[Path, int]) -> None:
    path, descriptor = file
    log = Log(JSON, descriptor)
    for n in range(GATHERED_LIMIT + 1):
        log.emit(request(target=f"/{n}"))
    await turn()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["target"] for line in lines] == [f"/{n}" for n in range(GATHERED_LIMIT + 1)]


async def test_what_is_lost_is_told_in_the_form_of_the_log(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    log = Log(JSON, writing)
    for n in range(GATHERED_LIMIT):
        log.emit(request(target=f"/{n}"))
    text = b""
    while b"were dropped" not in text or not text.endswith(b"\n"):
        text += drain(reading).lstrip(b"x")
        await turn()
    told = [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]
    lost = told.pop()
    assert (lost["event"], lost["level"]) == ("log lines were dropped: the log is read too slowly", "warning")
    assert lost["lines"] + len(told) == GATHERED_LIMIT


def test_a_terminal_gets_colour_and_a_file_does_not(file: tuple[Path, int]) -> None:
    path, descriptor = file
    Log(LogConfig("text", "info", access=True), descriptor).emit(request())
    assert "\x1b" not in path.read_text()
    main, terminal = os.openpty()
    try:
        log = Log(LogConfig("text", "info", access=True), terminal)
        log.emit(request())
        log.finish()
        assert b"\x1b[32minfo" in os.read(main, 4096)
    finally:
        os.close(main)
        os.close(terminal)
