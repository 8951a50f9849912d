"""What stands by the view and cannot have its URL yet: it waits, and is tried again when one may be had.

The control plane has made sure that a URL is free; an agent may have been quicker all the same.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from portway.edge.ports import Claims
    from portway.model.view import CloudEndpointItem, EdgeEndpointItem

T = TypeVar("T", "CloudEndpointItem", "EdgeEndpointItem")

_log = logging.getLogger(__name__)


class Waiting(Generic[T]):
    """The rows of one kind that wait."""

    def __init__(self, put_on: Callable[[T], None], claims: "Claims") -> None:
        """Try by ``put_on``, which lets a row wait once more where it must."""
        self._put_on = put_on
        self._rows: dict[str, T] = {}
        claims.on_freed(lambda _url: self.try_again())

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._rows)

    def add(self, item: T, owner: str) -> None:
        """Let a row of ``owner`` wait."""
        _log.warning("%s waits: %s is in use", owner, item.url)
        self._rows[item.id] = item

    def forget(self, item_id: str) -> None:
        """A row is gone, or is another now."""
        self._rows.pop(item_id, None)

    def try_again(self) -> None:
        """A URL may be had: one that waits may have waited for it."""
        for item in list(self._rows.values()):
            if self._rows.pop(item.id, None) is not None:
                self._put_on(item)
