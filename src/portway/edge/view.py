"""What the edge knows of the control plane's rows, in memory: no bind and no visitor asks the store.

The link feeds it: pages of a snapshot and every change, in the order in which the controller read them,
so the last item of a row is the truth. A snapshot is taken in between `begin` and `finish`; what none
of its items (and no change meanwhile) has named by then is gone. While the controller or the store is
down the view stays as it was, and the edge goes on serving from it. Before the first snapshot is
complete nothing may be judged by it: `known` waits for that.

Listeners hear of every row that changes, with its value before; a snapshot tells only what differs.
Of a row that is gone they hear even if it was never known here: somebody may have met it elsewhere.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec.structs import replace

from portway.errors import Error
from portway.model.acl import Acl
from portway.model.domain import ServiceNames, names_above
from portway.model.edge import place_of
from portway.model.url import Url, parse_endpoint_url
from portway.model.view import (
    AddressItem,
    CertificateItem,
    CredentialItem,
    DomainItem,
    EdgeEndpointItem,
    SshKeyItem,
    ViewItem,
)

K = TypeVar("K")
V = TypeVar("V")

Changed = Callable[[ViewItem, ViewItem | None], None]
"""Hears of a row: what it is now, and what it was (None: it is new)."""

NOTHING: Final = Acl()
"""Allows nothing: for rules that cannot be read."""


class View:
    """All rows that concern the edge, and the questions that it asks of them."""

    def __init__(self, names: ServiceNames | None = None) -> None:
        """Be empty and unknown. ``names`` are the service's own."""
        self.names = names or ServiceNames("")
        self._items: dict[str, ViewItem] = {}
        self._acls: dict[str, Acl] = {}
        self._addresses: dict[tuple[str, int], AddressItem] = {}
        self._ports: dict[int, set[str]] = {}
        self._domains: dict[str, DomainItem] = {}
        self._edges: dict[str, EdgeEndpointItem] = {}
        self._listeners: list[Changed] = []
        self._unseen: set[str] | None = None
        """While a snapshot is taken: rows known before that it has not named yet."""
        self._known = asyncio.Event()

    def __repr__(self) -> str:
        """Show how much is known."""
        state = "known" if self._known.is_set() else "unknown"
        return f"<View {state} rows={len(self._items)}>"

    # -- who feeds it

    def begin(self) -> None:
        """A whole snapshot begins. One that was not finished is forgotten."""
        self._unseen = set(self._items)

    def finish(self) -> None:
        """All that is known to the store has been applied: what was not named is gone."""
        unseen, self._unseen = self._unseen or set(), None
        for each in unseen:
            found = self._items.get(each)
            if found is not None:
                self._put(replace(found, gone=True))
        self._known.set()

    def apply(self, items: Iterable[ViewItem]) -> None:
        """Take rows as they are now."""
        for item in items:
            if self._unseen is not None:
                self._unseen.discard(item.id)
            if item.gone or self._items.get(item.id) != item:
                self._put(item)

    def learn(self, item: ViewItem) -> None:
        """Take a row that somebody was told of before the feed tells of it."""
        if item.id not in self._items:
            self._put(item)

    def on_change(self, listener: Changed) -> None:
        """Call back for every row that changes, from now on."""
        self._listeners.append(listener)

    # -- who asks it

    @property
    def is_known(self) -> bool:
        """Whether a first snapshot is complete."""
        return self._known.is_set()

    async def known(self) -> None:
        """Wait until a first snapshot is complete."""
        await self._known.wait()

    def find(self, row_id: str) -> ViewItem | None:
        """Return a row by its identifier; None when it is gone or unknown."""
        return self._items.get(row_id)

    def all(self) -> list[ViewItem]:
        """Return every row."""
        return list(self._items.values())

    def acl(self, credential_id: str) -> Acl | None:
        """Return what an authtoken or an SSH key may bind; None when it is not known here."""
        item = self._items.get(credential_id)
        if not isinstance(item, CredentialItem | SshKeyItem):
            return None
        found = self._acls.get(credential_id)
        if found is None:
            found = self._acls[credential_id] = read_acl(item.acl)
        return found

    def address(self, host: str, port: int) -> AddressItem | None:
        """Return who has reserved a TCP address."""
        return self._addresses.get((host, port))

    def is_reserved(self, port: int) -> bool:
        """Tell whether anybody has reserved a port, on whatever host."""
        return port in self._ports

    def domain(self, name: str) -> DomainItem | None:
        """Return who has reserved exactly this name; ``*.example.com`` is a name of its own."""
        return self._domains.get(name)

    def owner(self, host: str) -> DomainItem | None:
        """Return the reserved domain that a host belongs to: itself, else the nearest above it."""
        found = self._domains.get(host)
        if found is not None or not self._domains:
            return found
        above = (self._domains.get(name) for name in names_above(host, self.names))
        return next((each for each in above if each is not None), None)

    def edge_at(self, url: "Url") -> EdgeEndpointItem | None:
        """Return the edge's address that keeps agents from a URL."""
        return self._edges.get(place_of(url)) if self._edges else None

    def certificate(self, host: str) -> CertificateItem | None:
        """Return the certificate uploaded for a host: of its own domain, else of the nearest wildcard."""
        if not self._domains:
            return None
        names = (host, *(name for name in names_above(host, self.names) if name.startswith("*.")))
        domain = next((found for name in names if (found := self._domains.get(name)) is not None), None)
        item = self._items.get(domain.certificate_id) if domain is not None else None
        return item if isinstance(item, CertificateItem) else None

    # -- inside

    def _put(self, item: ViewItem) -> None:
        """Let a row be as it is now, and tell."""
        before = self._items.pop(item.id, None)
        if before is not None:
            self._unindex(before)
        if not item.gone:
            self._items[item.id] = item
            self._index(item)
        for listener in self._listeners:
            listener(item, before)

    def _index(self, item: ViewItem) -> None:
        if isinstance(item, AddressItem):
            self._addresses[item.host, item.port] = item
            self._ports.setdefault(item.port, set()).add(item.id)
        elif isinstance(item, DomainItem):
            self._domains[item.domain] = item
        elif isinstance(item, EdgeEndpointItem):
            self._edges[_place(item)] = item

    def _unindex(self, item: ViewItem) -> None:
        self._acls.pop(item.id, None)
        if isinstance(item, AddressItem):
            _drop(self._addresses, (item.host, item.port), item)
            ids = self._ports.get(item.port, set())
            ids.discard(item.id)
            if not ids:
                self._ports.pop(item.port, None)
        elif isinstance(item, DomainItem):
            _drop(self._domains, item.domain, item)
        elif isinstance(item, EdgeEndpointItem):
            _drop(self._edges, _place(item), item)


def read_acl(rules: Iterable[str]) -> Acl:
    """Read the rules of a credential. Rules that cannot be read allow nothing."""
    try:
        return Acl.parse(tuple(rules))
    except Error:
        return NOTHING


def _place(item: EdgeEndpointItem) -> str:
    return place_of(parse_endpoint_url(item.url))


def _drop(table: dict[K, V], key: K, item: V) -> None:
    """Forget an entry, unless another row has its key by now: it was given to that one meanwhile."""
    if table.get(key) is item:
        del table[key]
