"""Asking once for all who want the same at the same time.

The one who came first asks. It may be a visitor who leaves: then the next of those who wait asks anew, so
that nobody fails because somebody else closed a page.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Once:
    """What is being asked, by keys."""

    __slots__ = ("_asked", "_waiting")

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._waiting: Counter[str] = Counter()

    def __repr__(self) -> str:
        """Show how much is being asked, and how many wait for it beside those who do."""
        return f"<Once asked={len(self._asked)} waiting={self._waiting.total()}>"

    def __len__(self) -> int:
        """Return how much is being asked."""
        return len(self._asked)

    def waiting(self, key: str) -> int:
        """Return how many wait for what somebody else asks."""
        return self._waiting[key]

    async def ask(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, or wait for who does. Raises what asking raises. Cancelled: the next one asks."""
        while (asked := self._asked.get(key)) is not None:
            self._waiting[key] += 1
            try:
                return await asyncio.shield(asked)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not asked.cancelled() or (task is not None and task.cancelling()):
                    raise
            finally:
                self._waiting[key] -= 1
                if not self._waiting[key]:
                    del self._waiting[key]
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            result = await ask()
        except asyncio.CancelledError:
            asked.cancel()
            raise
        except BaseException as error:
            asked.set_exception(error)
            asked.exception()  # perhaps nobody shares it
            raise
        finally:
            del self._asked[key]
        asked.set_result(result)
        return result
