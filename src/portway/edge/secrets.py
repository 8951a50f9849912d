"""The secrets of all accounts, for their policies: sealed in memory, opened when a policy asks.

What the view tells of is an index by account, vault and name; so a secret that changes is another one for
every policy from then on, without anything being compiled again. Opened values are kept beside what they were
opened from, a bounded number of them; they appear in no log and no diagnostic.
"""

import logging
from base64 import b64decode
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from portway.errors import PortwayError
from portway.model.view import SecretItem, VaultItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.view import View
    from portway.model.view import ViewItem

    Open = Callable[[bytes, str], bytes]
    """What was sealed, and the identifier that it belongs to → the value. Raises PortwayError."""

_log = logging.getLogger(__name__)

KEPT: Final = 1000
"""Values that are kept opened; that not used for longest goes."""


class Secrets:
    """Finds secrets by name."""

    def __init__(self, view: "View", open_sealed: "Open | None") -> None:
        """Follow the view. Without ``open_sealed`` there are no secrets."""
        self._open = open_sealed
        self._vaults: dict[str, VaultItem] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._secrets: dict[tuple[str, str], SecretItem] = {}
        self._items: dict[str, SecretItem] = {}
        self._opened: OrderedDict[str, tuple[str, str]] = OrderedDict()
        for item in view.all():
            self._heard(item, None)
        view.on_change(self._heard)

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Secrets {len(self._items)} in {len(self._vaults)} vaults>"

    def get(self, account_id: str, vault: str, name: str) -> str | None:
        """Return an account's secret; None if there is none, or it cannot be opened."""
        vault_id = self._ids.get((account_id, vault))
        item = self._secrets.get((vault_id, name)) if vault_id is not None else None
        if item is None or self._open is None:
            return None
        sealed, value = self._opened.get(item.id, ("", ""))
        if sealed != item.sealed:
            try:
                value = self._open(b64decode(item.sealed), item.id).decode()
            except (PortwayError, ValueError) as error:
                _log.error("the secret %s cannot be opened: %s", item.id, error)
                return None
            self._opened[item.id] = item.sealed, value
            if len(self._opened) > KEPT:
                self._opened.popitem(last=False)
        self._opened.move_to_end(item.id)
        return value

    def _heard(self, item: "ViewItem", _before: "ViewItem | None") -> None:
        if isinstance(item, VaultItem):
            old = self._vaults.pop(item.id, None)
            if old is not None and self._ids.get((old.account_id, old.name)) == item.id:
                del self._ids[old.account_id, old.name]
            if not item.gone:
                self._vaults[item.id] = item
                self._ids[item.account_id, item.name] = item.id
        elif isinstance(item, SecretItem):
            gone = self._items.pop(item.id, None)
            if gone is not None and self._secrets.get((gone.vault_id, gone.name)) is gone:
                del self._secrets[gone.vault_id, gone.name]
            self._opened.pop(item.id, None)
            if not item.gone:
                self._items[item.id] = item
                self._secrets[item.vault_id, item.name] = item
