"""Lists: pages, newest first, and the address of the next one.

A route declares its list once::

    Wanted = Annotated[Listing, Depends(listing("credentials", "cr", FIELDS))]

and answers ``await wanted.page(fetch, show)``: ``fetch`` is a use case that returns the rows of a store's
Page and one beyond it, ``show`` makes an answer of a row. With a filter more rows are read until enough
of them match or SCAN_LIMIT is reached; then a page may have few items, or none, and still a next page.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from fastapi import Path, Query, Request
from pydantic import BaseModel

from portway.control.api.auth import Ctx
from portway.control.store.rows import PAGE_LIMIT, Page

SCAN_LIMIT: Final = 5_000
"""Rows that one request with a filter looks at."""
IDENTIFIER: Final = "[0-9A-Za-z]{1,64}"
"""What follows prefix and underscore of an identifier, in a request."""


class Known(Protocol):
    """A row: all that paging must know of it."""

    @property
    def id(self) -> str:
        """Return its identifier."""
        ...


T = TypeVar("T", bound=Known)
Keep = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one request wants of a list."""

    request: Request
    key: str
    base: str
    limit: int
    before_id: str
    filter: str
    keep: Keep | None

    async def page(
        self, fetch: Callable[[Page], Awaitable[Sequence[T]]], show: Callable[[T], BaseModel]
    ) -> dict[str, object]:
        """Return the envelope with the page that the request wants."""
        if self.keep is None:
            rows = await fetch(Page(self.limit, self.before_id))
            shown = [show(row) for row in rows[: self.limit]]
            last = rows[self.limit - 1].id if len(rows) > self.limit else ""
            return self.envelope(shown, last)
        found: list[BaseModel] = []
        before, seen = self.before_id, 0
        while seen < SCAN_LIMIT:
            rows = await fetch(Page(PAGE_LIMIT, before))
            for number, row in enumerate(rows[:PAGE_LIMIT], 1):
                shown = show(row)
                if self.keep(shown.model_dump()):
                    found.append(shown)
                if len(found) == self.limit:
                    return self.envelope(found, row.id if number < len(rows) else "")
            if len(rows) <= PAGE_LIMIT:
                return self.envelope(found, "")
            before = rows[PAGE_LIMIT - 1].id
            seen += PAGE_LIMIT
        return self.envelope(found, before)

    def envelope(self, items: Sequence[BaseModel], last_id: str) -> dict[str, object]:
        """Return the envelope. ``last_id``: where the next page begins, "" on the last page."""
        return list_response(self.request, self.base, self.key, items, last_id, self.limit, self.filter)


def list_response(
    request: Request,
    base: str,
    key: str,
    items: Sequence[BaseModel],
    last_id: str,
    limit: int,
    filter: str = "",  # noqa: A002 - the name of the parameter
) -> dict[str, object]:
    """Return the envelope of a list; ``base`` is the public base URL of the API."""
    uri = f"{base}{request.url.path}"
    following: str | None = None
    if last_id:
        wanted = {"before_id": last_id, "limit": limit} | ({"filter": filter} if filter else {})
        following = f"{uri}?{urlencode(wanted)}"
    return {key: items, "uri": uri, "next_page_uri": following}


def listing(key: str, prefix: str, fields: frozenset[str] | None) -> Callable[..., Listing]:
    """Return the dependency of a list: its key in the envelope, the prefix of its identifiers.

    ``fields`` are those that a filter may name, besides the four that every resource has; None: the
    list takes no filter. The dependency raises Error 250 for a bad filter.
    """

    limits = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="How many items a page has at most.")]
    befores = Annotated[
        str,
        Query(
            pattern=rf"^({prefix}_{IDENTIFIER})?$",
            description="Only items older than the one with this identifier.",
        ),
    ]

    def plain(request: Request, context: Ctx, limit: limits = PAGE_LIMIT, before_id: befores = "") -> Listing:
        return Listing(request, key, context.settings.api_url, limit, before_id, "", None)

    return plain


def path_id(prefix: str) -> Callable[..., str]:
    """Return the dependency of an identifier in the path; one with another prefix is refused with 227."""

    shape = Annotated[
        str, Path(pattern=rf"^{prefix}_{IDENTIFIER}$", description="Identifier of the resource.")
    ]

    def identifier(id: shape) -> str:  # noqa: A002 - the name in the path
        return id

    return identifier
