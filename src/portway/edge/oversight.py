"""Binds that are online, and what becomes of them when what allowed them changes.

Each bind is filed under what a change may name: its credential, its port, its host and every name
above that. A change judges the binds filed there anew; those that are not allowed any more are
stopped at once, and the agent is told with the code that a bind would be refused with now.
"""

from typing import TYPE_CHECKING

from portway.errors import Error
from portway.model.view import AddressItem, CredentialItem, DomainItem, SshKeyItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portway.edge.bound import Bound
    from portway.edge.permits import Permits
    from portway.edge.view import View
    from portway.model.view import ViewItem

Key = tuple[str, str | int]


class Oversight:
    """Keeps every bind within what its account may."""

    def __init__(self, view: "View", permits: "Permits") -> None:
        """Follow the view from now on."""
        self._permits = permits
        self._files: dict[Key, set[str]] = {}
        self._bounds: dict[str, list[Bound]] = {}
        view.on_change(self._changed)

    def __repr__(self) -> str:
        """Show how many binds are watched."""
        return f"<Oversight {len(self._bounds)} binds>"

    def add(self, bound: "Bound") -> None:
        """Watch a bind."""
        self._bounds.setdefault(bound.id, []).append(bound)
        for key in _keys(bound):
            self._files.setdefault(key, set()).add(bound.id)

    def discard(self, bound: "Bound") -> None:
        """Watch it no more; one that is not watched is ignored."""
        legs = self._bounds.get(bound.id, [])
        if bound in legs:
            legs.remove(bound)
        if legs:
            return
        self._bounds.pop(bound.id, None)
        for key in _keys(bound):
            ids = self._files.get(key, set())
            ids.discard(bound.id)
            if not ids:
                self._files.pop(key, None)

    def _changed(self, item: "ViewItem", before: "ViewItem | None") -> None:
        """Judge what a row allowed, or allows somebody else now."""
        for key in {*_named(item), *(_named(before) if before is not None else ())}:
            for bind_id in list(self._files.get(key, ())):
                for bound in list(self._bounds.get(bind_id, ())):
                    self._judge(bound, item)

    def _judge(self, bound: "Bound", item: "ViewItem") -> None:
        try:
            permit = self._permits.named(bound.url, bound.owner, drawn=bound.drawn)
        except Error as error:
            bound.owner.stop(bound.id, error)
            return
        if item.gone and item.id == bound.permit.domain_id and not permit.domain_id:
            # Anybody could bind the name again; but who deletes a domain wants it offline.
            error = Error(f"The domain {bound.url.host} was deleted from your account.", 319)
            bound.owner.stop(bound.id, error)
            return
        bound.permit = permit


def _keys(bound: "Bound") -> "Iterator[Key]":
    yield ("credential", bound.owner.credential_id)
    if bound.url.scheme == "tcp":
        yield ("port", bound.url.port)
        return
    host = bound.url.host.removeprefix("*.")
    while host:
        yield ("name", host)
        host = host.partition(".")[2]


def _named(item: "ViewItem") -> "Iterator[Key]":
    """Say where the binds are filed that a row concerns. Revoked credentials end their sessions elsewhere."""
    if isinstance(item, CredentialItem | SshKeyItem) and not item.gone:
        yield ("credential", item.id)
    elif isinstance(item, AddressItem) and item.port:
        yield ("port", item.port)
    elif isinstance(item, DomainItem) and item.domain:
        yield ("name", item.domain.removeprefix("*."))
