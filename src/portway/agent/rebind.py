"""Binding endpoints again on a new session: all at once, then patiently those that are refused.

Every session of an agent begins with the endpoints that stand. A refused one does not disturb the others:
it is tried again, backing off, while the session lives.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from portway.agent.bound import Bound
from portway.agent.link import Link
from portway.agent.table import Table
from portway.errors import PortwayError, SessionClosed
from portway.net.backoff import Backoff
from portway.net.tasks import Tasks


class Rebinder:
    """Rebinds what is in a table, for all sessions of one life of an agent."""

    def __init__(
        self, table: Table, tasks: Tasks, backoff: Callable[[], Backoff], log: logging.Logger
    ) -> None:
        """Repeat refused binds in tasks of these."""
        self._table = table
        self._tasks = tasks
        self._backoff = backoff
        self._log = log

    async def restore(self, link: Link) -> bool:
        """Bind every endpoint on a new link; False, and the link is cut, when it broke over that.

        An endpoint that is made meanwhile is bound too.
        """
        done: set[Bound] = set()
        refused: list[Bound] = []
        try:
            while missing := [bound for bound in self._table if bound not in done]:
                done.update(missing)
                refused += [bound for bound in missing if not await self._rebind(link, bound)]
        except BaseException as error:
            link.abort()
            if isinstance(error, SessionClosed):
                return False
            raise
        self._insist_on(link, refused)
        return True

    async def repeat(self, link: Link, bound: Bound) -> None:
        """Bind one endpoint on a further link too; what is refused is tried again."""
        try:
            if not await self._rebind(link, bound):
                self._insist_on(link, [bound])
        except SessionClosed:
            pass  # the next session there begins with all of them

    async def _rebind(self, link: Link, bound: Bound) -> bool:
        """Bind one endpoint again; False when that fails. Raises SessionClosed."""
        if bound.over.is_set() or (bound.options.labels and link.number):
            return True  # labels are bound on the first session alone: each would give an id of its own
        try:
            with self._table.binding():  # there may be a visitor under an id that is not known yet
                answer = await link.bind(bound.rebind())
                if bound.options.labels:
                    self._table.rename(bound, answer.id)
        except SessionClosed:
            raise
        except PortwayError as error:
            self._log.warning("%s cannot be bound again yet: %s", bound.where, error)
            return False
        if bound.over.is_set():  # closed in the meantime
            await link.unbind(bound.id)
        return True

    def _insist_on(self, link: Link, refused: list[Bound]) -> None:
        if refused:
            self._tasks.start(self._insist(link, refused), name="agent rebind")

    async def _insist(self, link: Link, refused: list[Bound]) -> None:
        """Repeat refused binds for as long as the session stands."""
        backoff = self._backoff()
        loop = asyncio.get_running_loop()
        try:
            while refused:
                await asyncio.sleep(backoff.next(loop.time(), random.random()))
                refused = [bound for bound in refused if not await self._rebind(link, bound)]
        except SessionClosed:
            pass  # the next session begins with all of them
