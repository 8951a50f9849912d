"""The event loops that async tests run on."""

import asyncio
import warnings
from collections.abc import Callable, Mapping


def factories(*names: str) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return how to make these loops, "asyncio" and "uvloop"; the latter only where it is installed."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        pass
    else:

        class Loop(uvloop.Loop):
            """Tells of what was left open, instead of waiting for it for ever.

            uvloop warns of it, and closes it then. Where a warning is an error it closes nothing, and waits
            where no signal is heard until the last handle is closed.
            """

            def close(self) -> None:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    super().close()
                assert not told, [str(each.message) for each in told]

        Loop.__module__ = uvloop.Loop.__module__  # where one looks to learn which loop it is
        found["uvloop"] = Loop
    return {name: found[name] for name in names if name in found} or found
