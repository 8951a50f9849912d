"""Writing for readers that are slow, stopped or gone."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kit.slow import drain, fill, pipe_ends

from portway.net.output import Output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    yield from pipe_ends()


def test_a_full_pipe_blocks_nobody_and_what_is_lost_is_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    output = Output(writing, limit=100)
    assert not output.write(b"kept\n")
    assert not output.write(b"lost\n" * 30)
    assert not output.flush()
    assert output.dropped == 30
    drain(reading)
    assert output.flush()
    assert drain(reading) == b"kept\nportway: 30 log lines were dropped: the log is read too slowly\n"
    assert output.dropped == 0


def test_a_burst_beyond_the_limit_is_no_loss_to_who_reads(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        output = Output(file.fileno(), limit=100)
        assert output.write(b"line\n" * 1000)
        assert output.dropped == 0
    assert (tmp_path / "log").read_bytes() == b"line\n" * 1000


def test_of_a_burst_into_a_full_pipe_whole_lines_are_kept(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    output = Output(writing, limit=100, notice=lambda count: b"lost %d\n" % count)
    assert not output.write(b"lines\n" * 30)
    assert output.dropped == 13
    drain(reading)
    assert output.flush()
    assert drain(reading) == b"lines\n" * 17 + b"lost 13\n"


def test_a_pipe_takes_more_than_its_atomic_size(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = Output(writing)
    assert output.write(b"y" * 20_000)
    assert drain(reading) == b"y" * 20_000


def test_a_reader_that_is_gone_is_no_fault(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    assert Output(writing).write(b"x\n")


def test_finishing_waits_for_a_reader_only_so_long(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    fill(writing)
    output = Output(writing)
    output.write(b"x\n")
    output.finish(timeout=0.05)
    assert not output.flush()


async def test_what_is_kept_follows_by_itself(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    fill(writing)
    output = Output(writing)
    assert not output.write(b"later\n")
    assert output.waiting
    drain(reading)
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(reading, arrived.set)
    async with asyncio.timeout(10):
        await arrived.wait()
    loop.remove_reader(reading)
    assert drain(reading) == b"later\n"
    assert not output.waiting


def test_a_terminal_that_is_stopped_blocks_nobody_and_stays_as_it_was() -> None:
    main, terminal = os.openpty()
    output = Output(terminal, limit=1 << 22)
    try:
        assert not output.write(b"line\n" * 100_000)
        assert os.get_blocking(terminal), "the descriptor is shared with other programs"
        assert b"line\r\n" in drain(main)
    finally:
        output.finish(0)
        output.close()
        os.close(main)
        os.close(terminal)
