"""Which loop we run on."""

import asyncio
import sys

import pytest

from portway.net import loop as loop_module
from portway.net.loop import LoopName, inside_loop, new_loop_factory, run


async def _name() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


@pytest.mark.parametrize(
    ("name", "module"), [("auto", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio")]
)
def test_the_loop_that_was_asked_for(name: LoopName, module: str) -> None:
    """uvloop by default."""
    if module == "uvloop":
        pytest.importorskip("uvloop")
    assert run(_name(), loop=name) == module


def test_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio's own loop takes over, unless uvloop was demanded."""
    monkeypatch.setattr(loop_module, "uvloop", None)
    assert run(_name()) == "asyncio"
    with pytest.raises(LookupError):
        new_loop_factory("uvloop")


def test_what_is_left_behind_is_cancelled() -> None:
    """A task that outlives main ends in order."""
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(linger())
        await asyncio.sleep(0)
        assert not task.done()

    run(main())
    assert ended == ["cancelled"]
    assert sys.exc_info() == (None, None, None)


def test_whether_a_loop_runs_here() -> None:
    async def within() -> bool:
        return inside_loop()

    assert not inside_loop()
    assert run(within())
