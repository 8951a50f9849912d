"""Whether an account may bind an address or a name, judged at the moment of the bind.

First the rules of the credential (``model/acl.py``), then who has reserved what::

                      own reservation    another's    nobody's
    tcp://HOST:PORT   yes                309          307
    a name            yes                320          below the service's domain: yes, first come
                                                      any other name: 319
    *.NAME            yes, if exactly    320          321 when a name above it is one's own, else 318
                      that is reserved

Internal names are each account's own, and stand on no reservation.

A reserved name belongs to its account with every name below it. ``--unreserved-domains`` moves the line
for names that nobody has reserved. An address or name that the service itself has drawn stays good for
a rebind that proves it, unless somebody has reserved it since: reserved ports are never drawn.

Nothing here waits; ask once the view is known.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from portway.edge.view import read_acl
from portway.errors import Error
from portway.model.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.ports import EdgeConfig
    from portway.edge.view import View
    from portway.model.acl import Acl
    from portway.model.url import Url


class Permit(msgspec.Struct, frozen=True):
    """Why a bind was allowed: the reserved domain or TCP address that it stands on, or neither."""

    domain_id: str = ""
    tcp_addr_id: str = ""


_UNLIMITED: Final = Plan()

FREE: Final = Permit()
"""A bind that stands on no reservation."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose bind it is. ``rules`` are those that the credential had when the session authenticated."""

    account_id: str
    client_id: str
    session_id: str
    credential_id: str = ""
    rules: tuple[str, ...] = ()
    plan: str = ""
    """Of its account, when the session authenticated."""
    stop: "Callable[[str, Error], None]" = field(default=lambda _bind_id, _error: None, compare=False)
    """Ends a bind of this session by its id and tells the agent why."""


class Permits:
    """Judges binds by the view."""

    def __init__(self, view: "View", config: "EdgeConfig") -> None:
        """Judge for the edge of this configuration."""
        self._view = view
        self._config = config

    def random(self, scheme: str, owner: Owner) -> None:
        """Judge a bind whose address the service is to draw. Raises Error 312, 316, 356 or 8013."""
        plan = self._config.plans.get(owner.plan, _UNLIMITED)
        if scheme == "tcp" and not plan.tcp_endpoints:
            raise Error("TCP endpoints need a plan with a payment method; yours has none.", 8013)
        self._plan_has_tls(scheme, owner)
        if self._acl(owner).allows_random(scheme, self._config.domain):
            return
        if scheme == "tcp":
            raise Error("The access rules of this credential do not allow random TCP addresses.", 356)
        raise Error("The access rules of this credential do not allow random names.", 316)

    def named(self, url: "Url", owner: Owner, *, drawn: bool = False) -> Permit:
        """Judge a bind of this address; ``drawn`` says that the service has chosen it for this account.

        Raises Error 307, 308, 309, 310, 312, 316, 318, 319, 320 or 321.
        """
        if url.scheme == "tcp" and not self._config.plans.get(owner.plan, _UNLIMITED).tcp_endpoints:
            raise Error("Your plan does not allow TCP endpoints at fixed addresses.", 310)
        self._plan_has_tls(url.scheme, owner)
        if not self._acl(owner).allows_url(url):
            if url.scheme == "tcp":
                raise Error(f"The access rules of this credential do not allow {url.hostport}.", 308)
            raise Error(f"The access rules of this credential do not allow {url.host}.", 316)
        if url.is_internal:
            return FREE
        judge = self._address if url.scheme == "tcp" else self._name
        return judge(url, owner, drawn=drawn)

    def _plan_has_tls(self, scheme: str, owner: Owner) -> None:
        if scheme == "tls" and not self._config.plans.get(owner.plan, _UNLIMITED).tls_endpoints:
            raise Error("Your plan does not allow TLS endpoints.", 312)

    def _acl(self, owner: Owner) -> "Acl":
        """Return the rules as they are now."""
        return self._view.acl(owner.credential_id) or read_acl(owner.rules)

    def _address(self, url: "Url", owner: Owner, *, drawn: bool) -> Permit:
        found = self._view.address(url.host, url.port)
        if found is None:
            if drawn and not self._view.is_reserved(url.port):
                return FREE
            raise Error(
                f"The address {url.hostport} is not reserved for your account. Reserve one and use what "
                "you are given, or ask for a random one.",
                307,
            )
        if found.account_id != owner.account_id:
            raise Error(f"The address {url.hostport} is reserved for another account.", 309)
        return Permit(tcp_addr_id=found.id)

    def _name(self, url: "Url", owner: Owner, *, drawn: bool) -> Permit:
        found = self._view.owner(url.host)
        if found is not None and found.account_id != owner.account_id:
            raise Error(f"The domain {url.host} is reserved for another account.", 320)
        if url.is_wildcard:
            if found is None:
                raise Error(f"The wildcard domain {url.host!r} is not reserved for your account.", 318)
            if found.domain != url.host:
                raise Error(
                    f"You have reserved {found.domain!r}; an endpoint for {url.host!r} needs exactly that "
                    "wildcard domain reserved.",
                    321,
                )
        if found is not None:
            return Permit(domain_id=found.id)
        if not (drawn or self._is_open(url.host)):
            raise Error(f"The domain {url.host} is not reserved for your account.", 319)
        return FREE

    def _is_open(self, host: str) -> bool:
        """Tell whether a name that nobody has reserved goes to whoever comes first."""
        unreserved = self._config.unreserved_domains
        return unreserved == "any" or (unreserved == "own" and host.endswith(f".{self._config.domain}"))
