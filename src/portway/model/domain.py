"""Names that an account may reserve: how they are written, and which are the service's own.

A reserved name belongs to its account together with every name below it, so a question about one name
is a question about the names above it (:func:`names_above`) and below it. Two kinds differ:

- an *own* name lies below the service's base domain. The names above it end there: the base domain
  is the service's;
- any other name is *foreign*: its owner points it here with a CNAME record to :func:`cname_target`.

A wildcard ``*.example.com`` stands for every name below ``example.com``, at any depth, and not for
``example.com`` itself. Names are folded as those of endpoints are (:mod:`portway.model.url`); only the
codes of the refusals differ.
"""

from typing import Final

import msgspec

from portway.errors import Error
from portway.model.url import normal_host

AUTH_LABEL: Final = "auth"
"""Where identity providers send visitors back to, unless the operator has another host for it."""

SERVICE_LABELS: Final = ("api", AUTH_LABEL, "connect", "cname", "tcp")
"""Names below the base domain that are the service's own, with everything below them."""

UNREACHABLE: Final = frozenset({"internal", "invalid", "onion"})
"""Top-level domains that no visitor reaches by DNS. Private ones such as ``lan`` are allowed: the
visitors of a service at home know them."""

_CODES: Final = {
    "ERR_NGROK_326": 406,
    "ERR_NGROK_327": 409,
    "ERR_NGROK_328": 407,
    "ERR_NGROK_329": 408,
    "ERR_NGROK_330": 410,
    "ERR_NGROK_347": 429,
    "ERR_NGROK_355": 438,
    "ERR_NGROK_396": 513,
    "ERR_NGROK_397": 514,
}
"""The code of an endpoint's host to that of a reserved name; 402 and 403 are the same for both."""


class ServiceNames(msgspec.Struct, frozen=True):
    """What the service itself is called: its base domain, and the hosts of what it does besides."""

    base: str
    tcp_host: str = ""
    auth_host: str = ""
    """Where identity providers send visitors back to."""

    def is_own(self, name: str) -> bool:
        """Tell whether a name lies below the base domain."""
        return name.endswith(f".{self.base}")

    def is_taken(self, name: str) -> bool:
        """Tell whether a name is the service's own, or would cover its base domain."""
        return name in {self.base, self.tcp_host, self.auth_host, *self._services()} or self.base.endswith(
            f".{name}"
        )

    def is_below(self, name: str) -> bool:
        """Tell whether a name lies below one of those that the service keeps for itself."""
        return name.endswith(tuple(f".{each}" for each in self._services()))

    def _services(self) -> list[str]:
        return [f"{label}.{self.base}" for label in SERVICE_LABELS]


def parse_domain(text: str, names: ServiceNames) -> str:
    """Fold a name that somebody wants to reserve.

    Raises Error 402, 403, 406–411, 429, 438, 448, 513 or 514 for how it is written, and 404, 416 or
    450 when it is one of the service's own names, covers them, or lies below them.
    """
    try:
        name = normal_host(text.strip()) if text.strip() else ""
    except Error as error:
        raise Error(error.message, _CODES.get(error.code, error.code)) from error
    bare = name.removeprefix("*.")
    wildcard = bare != name
    if "." not in bare:
        if wildcard:
            raise Error(f"The wildcard {name!r} would cover a whole suffix.", 416)
        raise Error(f"{text!r} is not a full domain name, such as app.example.com.", 448)
    last = bare.rpartition(".")[2]
    if last in UNREACHABLE or last.isdigit() or last.startswith("0x"):
        raise Error(f"Visitors cannot reach {name!r}: {last!r} is no public top-level domain.", 411)
    if wildcard and names.is_taken(bare):
        raise Error(f"The wildcard {name!r} would cover names of the service itself.", 416)
    if names.is_taken(bare):
        raise Error(f"The domain {name!r} belongs to the service itself.", 404)
    if names.is_below(bare):
        raise Error(f"The domain {name!r} lies below a name of the service itself.", 450)
    return name


def names_above(name: str, names: ServiceNames) -> list[str]:
    """Return the names whose owner owns this one too, nearest first; itself is not among them.

    For ``a.b.example.com``: ``*.b.example.com``, ``b.example.com``, ``*.example.com``,
    ``example.com``. For ``*.example.com``: ``example.com``.
    """
    bare = name.removeprefix("*.")
    above = [] if bare == name else [bare]
    parent = bare.partition(".")[2]
    while "." in parent and not (names.is_own(name) and parent == names.base):
        above += [f"*.{parent}", parent]
        parent = parent.partition(".")[2]
    return above


def cname_target(domain_id: str, name: str, names: ServiceNames) -> str | None:
    """Return where a foreign name must point; None for an own one, which is here already.

    It follows from the identifier alone, so it stays as long as the reservation does.
    """
    if names.is_own(name):
        return None
    return f"{domain_id.partition('_')[2].lower()}.cname.{names.base}"


class ReservedDomain(msgspec.Struct, frozen=True):
    """A name that an account keeps. ``created_at`` is Unix seconds.

    ``certificate_id`` is an uploaded certificate; ``authority`` issues automatically, keys of
    ``key_type``. At most one of the two is set. ``resolves_to`` are regions; none is everywhere.
    """

    id: str
    account_id: str
    description: str
    metadata: str
    created_at: float
    domain: str
    is_dev: bool = False
    certificate_id: str | None = None
    authority: str | None = None
    key_type: str | None = None
    resolves_to: tuple[str, ...] = ()
