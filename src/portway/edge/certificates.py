"""Which certificate visitors of a name are shown.

One that was uploaded for a reserved domain comes first; its key is asked for when it is first needed. The
service's own covers its domain and one label below it. For a deeper or a custom name that an endpoint has
claimed, the control plane issues one on demand, for a wildcard endpoint one in all; names that nobody has
claimed are never issued for, so visitors cannot make the authority work.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeVar

from portway.edge.once import Once
from portway.edge.ports import CertificatePem
from portway.edge.tls_settings import Contexts

if TYPE_CHECKING:
    from portway.edge.ports import Control
    from portway.model.view import ViewItem

T = TypeVar("T")

FRESH: Final = 43_200.0
"""Seconds after which an issued certificate is asked for again."""


class Certificates:
    """Certificates by the names that visitors ask for."""

    def __init__(self, default: CertificatePem, domain: str, control: "Control", limit: int) -> None:
        """Start with the service's own, which covers ``domain`` and one label below it.

        Of issued and of uploaded ones, and of contexts, at most ``limit`` each are kept.
        """
        self.default = default
        self._domain = domain
        self._control = control
        self._view = control.view
        self._limit = limit
        self._issued: OrderedDict[str, tuple[CertificatePem, float]] = OrderedDict()
        self._uploaded: OrderedDict[str, CertificatePem] = OrderedDict()
        """By the identifier of the certificate, which never changes."""
        self._once = Once()
        self.contexts = Contexts(limit)
        """What visitors' TLS runs under, made of these."""
        self._view.on_change(self._changed)

    def __repr__(self) -> str:
        """Show how many are kept."""
        return (
            f"<Certificates issued={len(self._issued)} uploaded={len(self._uploaded)} "
            f"asked={len(self._once)}>"
        )

    def at_hand(self, name: str, now: float) -> CertificatePem | None:
        """Return the certificate of a name if it needs no asking."""
        uploaded = self._view.certificate(name)
        if uploaded is not None:
            return _used(self._uploaded, uploaded.id)
        if name == self._domain or name.partition(".")[2] == self._domain:
            return self.default
        found = _used(self._issued, name)
        return found[0] if found is not None and found[1] + FRESH > now else None

    def is_uploaded(self, name: str) -> bool:
        """Tell whether somebody has uploaded a certificate for a name."""
        return self._view.certificate(name) is not None

    async def issue(self, name: str, now: float) -> CertificatePem:
        """Get the certificate of a claimed name; those who ask at once share the answer.

        Raises PortwayError when the control plane refuses or cannot. Cancelled: the next of them asks.
        """
        found = self.at_hand(name, now)
        if found is not None:
            return found
        uploaded = self._view.certificate(name)
        if uploaded is None:
            return await self._once.ask(name, lambda: self._issue(name, now))
        return await self._once.ask(uploaded.id, lambda: self._fetch(uploaded.id))

    async def _issue(self, name: str, now: float) -> CertificatePem:
        pem = await self._control.certificate(name)
        _keep(self._issued, name, (pem, now), self._limit)
        return pem

    async def _fetch(self, certificate_id: str) -> CertificatePem:
        pem = await self._control.certificate_key(certificate_id)
        if self._view.find(certificate_id) is not None:  # else it was deleted meanwhile
            _keep(self._uploaded, certificate_id, pem, self._limit)
        return pem

    def _changed(self, item: "ViewItem", _before: "ViewItem | None") -> None:
        if item.gone:
            self._uploaded.pop(item.id, None)


def _used(table: "OrderedDict[str, T]", key: str) -> "T | None":
    """Return what is kept under a key, which is then the last to be forgotten."""
    found = table.get(key)
    if found is not None:
        table.move_to_end(key)
    return found


def _keep(table: "OrderedDict[str, T]", key: str, value: T, limit: int) -> None:
    """Keep something, and forget what was not used for longest when there is too much."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > limit:
        table.popitem(last=False)
