"""The claim table: who owns a name, and who may have it next. Pure: time comes in as ``now``.

A name is held once: an http host, an https or tls host (they share a listener), a tcp port. A claim
is *online* while sessions hold it, then *kept* for the grace period, then gone::

                 claim                    hold, by the last holder
      (nobody) ─────────► online ───────────────────────────────────► kept
          ▲                 │  ▲                                        │ │
          │ release         │  └──────── claim, by the same account ────┘ │ grace is over
          └─────────────────┴─────────────────────────────────────────────┘

Another account gets a name only from *(nobody)*. Within an account, a kept name goes to whoever asks
for it by name (``docs/decisions/0003-same-account-takeover.md``); from then on the session that lost
it can no longer come back to it. Below the service's own domain, a host also owns every name under it.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portway.model.url import Url


class Refusal(Enum):
    """Why a claim fails."""

    OTHER_ACCOUNT = auto()
    """It, or a name above it, belongs to another account."""
    ONLINE = auto()
    """It is online in the same account, and not every holder shares it."""
    LOST = auto()
    """The returning session was replaced by a newer one of the same account."""


@dataclass(slots=True)
class Claim:
    """One name. ``holders`` maps the sessions that hold it to whether they share it."""

    url: "Url"
    account_id: str
    holders: dict[str, bool] = field(default_factory=dict[str, bool])
    last: str = ""
    """Whom the name is kept for: the session that held it last."""
    until: float | None = None
    """When the grace period is over; None while online."""


Key = tuple[str, str | int]


def key_of(url: "Url") -> Key:
    """Say what may be held once: ("http", host), ("tls", host) or ("tcp", port)."""
    if url.scheme == "tcp":
        return ("tcp", url.port)
    return ("http" if url.scheme == "http" else "tls", url.host)


class Table:
    """Every claim of one service."""

    def __init__(self, domain: str, grace: float) -> None:
        """Make an empty table for a service of this base domain; ``grace`` is seconds, 0 keeps nothing."""
        self.grace = grace
        self._suffix = f".{domain}"
        self._claims: dict[Key, Claim] = {}
        self._soonest: float | None = None
        """No grace period ends before this; None: none runs. So most sweeps look at nothing."""

    def __len__(self) -> int:
        """Count the claims, online and kept."""
        return len(self._claims)

    def __repr__(self) -> str:
        """Show how many names are online and how many are kept."""
        kept = sum(claim.until is not None for claim in self._claims.values())
        return f"<Table online={len(self._claims) - kept} kept={kept}>"

    def find(self, url: "Url") -> Claim | None:
        """Return the claim of a URL's name, whatever its scheme."""
        return self._claims.get(key_of(url))

    def claim(
        self, url: "Url", account_id: str, holder: str, *, pooled: bool, returning: bool
    ) -> Refusal | None:
        """Take a name for a holder; None means done. Call :meth:`expire` first."""
        if self._foreign(url, account_id):
            return Refusal.OTHER_ACCOUNT
        claim = self.find(url)
        if claim is None:
            claim = self._claims[key_of(url)] = Claim(url, account_id)
        elif refusal := _refusal(claim, url, holder, pooled=pooled, returning=returning):
            return refusal
        claim.url = url
        claim.holders[holder] = pooled
        claim.last = holder
        claim.until = None
        return None

    def hold(self, url: "Url", holder: str, now: float) -> Claim | None:
        """Take a holder off; return the claim if nobody is left and it is kept from now on."""
        claim = self.find(url)
        if claim is None or claim.holders.pop(holder, None) is None or claim.holders:
            return None
        claim.last = holder
        claim.until = now + self.grace
        self._keep(claim.until)
        return claim

    def release(self, url: "Url", holder: str) -> Claim | None:
        """Take a holder off for good; return the claim if its name is free now."""
        claim = self.find(url)
        if claim is None or (claim.holders.pop(holder, None) is None and claim.last != holder):
            return None
        if claim.holders:
            return None
        del self._claims[key_of(url)]
        return claim

    def share(self, url: "Url", holder: str, *, pooled: bool) -> None:
        """Change whether a holder shares the name."""
        claim = self.find(url)
        if claim is not None and holder in claim.holders:
            claim.holders[holder] = pooled

    def restore(self, url: "Url", account_id: str, holder: str, now: float) -> None:
        """Put a name back after a restart: it is kept for its session, the grace counted anew."""
        self._claims[key_of(url)] = Claim(url, account_id, {}, holder, now + self.grace)
        self._keep(now + self.grace)

    def expire(self, now: float) -> list["Url"]:
        """Drop the names whose grace is over, and return them."""
        if self._soonest is None or now < self._soonest:
            return []
        over = [
            claim.url for claim in self._claims.values() if claim.until is not None and claim.until <= now
        ]
        for url in over:
            del self._claims[key_of(url)]
        self._soonest = min(
            (claim.until for claim in self._claims.values() if claim.until is not None), default=None
        )
        return over

    def deadline(self) -> float | None:
        """Return when to call :meth:`expire` next: no grace period ends earlier. None: none runs."""
        return self._soonest

    def _keep(self, until: float) -> None:
        self._soonest = until if self._soonest is None else min(self._soonest, until)

    def _foreign(self, url: "Url", account_id: str) -> bool:
        """Tell whether the name, its other protocols, or a name above it is another account's."""
        if url.scheme == "tcp":
            claim = self.find(url)
            return claim is not None and claim.account_id != account_id
        # The nearest decides: who had a name keeps it when somebody takes the one above it later.
        for host in self._owning_hosts(url.host):
            for kind in ("http", "tls"):
                claim = self._claims.get((kind, host))
                if claim is not None:
                    return claim.account_id != account_id
        return False

    def _owning_hosts(self, host: str) -> list[str]:
        """Return the host, and every name above it that is still below the service's domain.

        Names elsewhere own only themselves: nobody has proved that ``co.example`` is theirs.
        """
        hosts = [host]
        while host.endswith(self._suffix) and (host := host.partition(".")[2]).endswith(self._suffix):
            hosts.append(host)
        return hosts


def _refusal(claim: Claim, url: "Url", holder: str, *, pooled: bool, returning: bool) -> Refusal | None:
    """Judge a claim on a name of the same account."""
    if claim.until is not None:
        # A member of a pool may come back in any order; a lone holder only if it was not replaced.
        return Refusal.LOST if returning and not pooled and claim.last != holder else None
    if claim.url != url:
        return Refusal.ONLINE
    if holder in claim.holders:
        return None
    return None if pooled and all(claim.holders.values()) else Refusal.ONLINE
