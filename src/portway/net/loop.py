"""Which event loop we run on, and how a program starts on it.

uvloop where it is installed, asyncio's own elsewhere. Both are tested; they are equal in bulk, and
uvloop accepts connections about twice as fast.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar

try:
    import uvloop
except ImportError:  # Windows, other interpreters: asyncio's own loop does the same work
    uvloop = None

T = TypeVar("T")
LoopName = Literal["auto", "uvloop", "asyncio"]


def new_loop_factory(name: LoopName = "auto") -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a function that makes an event loop.

    "auto" takes uvloop if it is installed. Raises LookupError when "uvloop" is demanded and absent.
    """
    if uvloop is not None and name != "asyncio":
        return uvloop.new_event_loop
    if name == "uvloop":
        raise LookupError("uvloop is not installed")
    return asyncio.new_event_loop


def run(main: Coroutine[Any, Any, T], *, loop: LoopName = "auto", debug: bool | None = None) -> T:
    """Run `main` on a new event loop until it returns; cancel what it left behind.

    Ctrl-C cancels `main`, and KeyboardInterrupt is raised when that has ended.
    """
    with asyncio.Runner(debug=debug, loop_factory=new_loop_factory(loop)) as runner:
        return runner.run(main)


def inside_loop() -> bool:
    """Say whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
