"""Lists: pages, newest first, and the address of the next one.

A route declares its list once::

    Wanted = Annotated[Listing, Depends(listing("credentials", "cr", FIELDS))]

and answers ``await wanted.page(fetch, show)``: ``fetch`` is a use case that returns the rows of a store's
Page and one beyond it, ``show`` makes an answer of a row. With a filter more rows are read until enough
of them match, or SCAN_LIMIT or SCAN_TIME is reached; then a page may have few items, or none, and still
a next page.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Path, Query, Request
from pydantic import BaseModel

from portway.control.api.auth import Ctx
from portway.control.api.filter import compile_filter
from portway.control.store.rows import PAGE_LIMIT, Page

SCAN_LIMIT: Final = 5_000
"""Rows that one request with a filter looks at."""
SCAN_TIME: Final = 1.0
"""Seconds after which it looks at no further hundred."""
IDENTIFIER: Final = "[0-9A-Za-z]{1,64}"
"""What follows prefix and underscore of an identifier, in a request."""

LIMIT: Final = "How many items a page has at most."
BEFORE: Final = "Only items older than the one with this identifier."
FILTER: Final = "A CEL expression over `obj`; only items for which it is true."
"""What the document says of the parameters of a list."""


class Known(Protocol):
    """A row: all that paging must know of it."""

    @property
    def id(self) -> str:
        """Return its identifier."""
        ...


T = TypeVar("T", bound=Known)
Fetch = Callable[[Page], Awaitable[Sequence[T]]]
Facts = Callable[[T], Mapping[str, Any]]
Keep = Callable[[Mapping[str, Any]], bool]


class Listing(msgspec.Struct, frozen=True):
    """What one request wants of a list."""

    uri: str
    key: str
    limit: int
    before_id: str
    filter: str = ""
    keep: Keep | None = None

    async def page(
        self, fetch: Fetch[T], show: Callable[[T], BaseModel], *, facts: Facts[T] | None = None
    ) -> dict[str, object]:
        """Return the envelope with the page that the request wants.

        ``facts`` returns what a filter sees of a row, if that is not what is shown.
        """
        if self.keep is None:
            rows = await fetch(Page(self.limit, self.before_id))
            last = rows[self.limit - 1].id if len(rows) > self.limit else ""
            return self.envelope([show(row) for row in rows[: self.limit]], last)
        return self.envelope(*await self._search(self.keep, fetch, show, facts))

    def envelope(self, items: Sequence[BaseModel], last_id: str) -> dict[str, object]:
        """Return the envelope. ``last_id``: where the next page begins, "" on the last page."""
        following: str | None = None
        if last_id:
            wanted: dict[str, object] = {"before_id": last_id, "limit": self.limit}
            following = f"{self.uri}?{urlencode(wanted | ({'filter': self.filter} if self.filter else {}))}"
        return {self.key: items, "uri": self.uri, "next_page_uri": following}

    async def _search(
        self, keep: Keep, fetch: Fetch[T], show: Callable[[T], BaseModel], facts: Facts[T] | None
    ) -> tuple[list[BaseModel], str]:
        """Return what matches, and where to search on."""
        found: list[BaseModel] = []
        before, seen, deadline = self.before_id, 0, time.monotonic() + SCAN_TIME
        while True:
            rows = await fetch(Page(PAGE_LIMIT, before))
            for number, row in enumerate(rows[:PAGE_LIMIT], 1):
                shown = show(row)
                if not keep(facts(row) if facts else shown.model_dump()):
                    continue
                found.append(shown)
                if len(found) == self.limit:
                    return found, row.id if number < len(rows) else ""
            if len(rows) <= PAGE_LIMIT:
                return found, ""
            before = rows[PAGE_LIMIT - 1].id
            seen += PAGE_LIMIT
            if seen >= SCAN_LIMIT or time.monotonic() > deadline:
                return found, before


def listing(
    key: str, prefix: str, fields: frozenset[str] | None, *, common: bool = True
) -> Callable[..., Awaitable[Listing]]:
    """Return the dependency of a list: its key in the envelope, the prefix of its identifiers.

    ``fields`` are those that a filter may name, beside the four that every resource has if ``common``;
    None: the list takes no filter. The dependency raises Error 250 for a bad filter.
    """

    shape = rf"^({prefix}_{IDENTIFIER})?$"

    async def plain(
        request: Request,
        context: Ctx,
        limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description=LIMIT)] = PAGE_LIMIT,
        before_id: Annotated[str, Query(pattern=shape, description=BEFORE)] = "",
    ) -> Listing:
        return Listing(f"{context.settings.api_url}{request.url.path}", key, limit, before_id)

    async def filtered(
        request: Request,
        context: Ctx,
        limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT, description=LIMIT)] = PAGE_LIMIT,
        before_id: Annotated[str, Query(pattern=shape, description=BEFORE)] = "",
        filter: Annotated[str, Query(description=FILTER)] = "",  # noqa: A002 - the name of the parameter
    ) -> Listing:
        known = fields or frozenset()
        keep = compile_filter(filter, known, context.now(), common=common) if filter else None
        uri = f"{context.settings.api_url}{request.url.path}"
        return Listing(uri, key, limit, before_id, filter, keep)

    return plain if fields is None else filtered


def path_id(prefix: str) -> Callable[..., Awaitable[str]]:
    """Return the dependency of an identifier in the path; one with another prefix is refused with 227."""

    shape = rf"^{prefix}_{IDENTIFIER}$"

    async def identifier(
        id: Annotated[str, Path(pattern=shape, description="Identifier of the resource.")],  # noqa: A002 - the name in the path
    ) -> str:
        return id

    return identifier
