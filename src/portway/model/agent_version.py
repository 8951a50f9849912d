"""Which agents are too old: the versions that an operator demands, product by product. Pure.

An agent's user agent names its application and all that this is built from, ``app/1.2 portway/0.1.0``, each
with a version of its own line, so a demand is always on one product: ``portway=0.2.0``, or ``0.2.0`` alone,
which means portway. With a day behind it, ``portway=0.4.0@2027-01-01``, it holds from then on (UTC), and
until then agents that will be too old are warned; ``@later`` only warns. Agents that do not name the product
are served. This keeps old bugs out, not people: an agent may say of itself what it likes.

Versions are compared as SemVer 2.0 section 11 has it, what stands behind ``+`` aside. More or fewer numbers
than three are taken too, and ``0.2.0.dev1`` or ``0.2.0rc1`` for something before 0.2.0.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import msgspec

OWN: Final = "portway"
"""The product that is meant where none is named."""

LATER: Final = "later"

NEVER: Final = 1e18
"""Seconds since 1970 of a demand that only warns."""

NO_DAY: Final = "0001-01-01T00:00:00Z"
"""How the wire writes that there is no day: agents in Go take nothing that is no time."""

_VERSION: Final = re.compile(
    r"v?(\d{1,9}(?:\.\d{1,9})*)(?:[-.]?([a-zA-Z][\w.-]*|(?<=-)[\w.-]+))?(?:\+.*)?", re.ASCII
)
_PRODUCT: Final = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)
_COMMENT: Final = re.compile(r"\([^()]*\)")

Key = tuple[tuple[int, ...], tuple[object, ...]]


class Demand(msgspec.Struct, frozen=True):
    """A least version of a product. ``begins``: seconds since 1970; 0: always; NEVER: only warn."""

    product: str
    version: str
    begins: float = 0.0

    @property
    def day(self) -> str:
        """When it begins to hold, RFC 3339; NO_DAY where it has no such day."""
        if not 0 < self.begins < NEVER:
            return NO_DAY
        return datetime.fromtimestamp(self.begins, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Judgement(msgspec.Struct, frozen=True):
    """What becomes of an agent: ``refused`` by a demand, or warned of one that is ``coming``.

    ``version`` is the agent's, of that product; where it is no version at all, ``readable`` is False.
    """

    refused: Demand | None = None
    coming: Demand | None = None
    version: str = ""
    readable: bool = True

    @property
    def text(self) -> str:
        """Return a sentence for the agent's user; "" for an agent that is new enough."""
        demand = self.refused or self.coming
        if demand is None:
            return ""
        wanted = f"{demand.product} {demand.version} or later"
        if not self.readable:
            return f"{self.version!r} is no version of {demand.product}: this service asks for {wanted}."
        if self.refused:
            return (
                f"This agent, {demand.product} {self.version}, is too old for this service,"
                f" which asks for {wanted}. Please update it."
            )
        day = "" if demand.day == NO_DAY else f" from {demand.day[:10]} on"
        return f"{demand.product} {self.version} will be too old{day}: please update to {wanted}."


def read_demands(text: str) -> tuple[Demand, ...]:
    """Read demands, separated by commas; "" is none. Raises ValueError with a sentence for the operator."""
    return tuple(_demand(part) for part in filter(None, map(str.strip, text.split(","))))


def _demand(text: str) -> Demand:
    what, at, day = (each.strip() for each in text.partition("@"))
    product, equals, version = (each.strip() for each in what.partition("="))
    if not equals:
        product, version = OWN, product
    if not _PRODUCT.fullmatch(product) or key(version) is None or (at and not day):
        raise ValueError(f"{text!r} is not [PRODUCT=]VERSION[@DAY], such as portway=0.2.0@2027-01-31")
    if not at:
        return Demand(product, version)
    if day == LATER:
        return Demand(product, version, NEVER)
    try:
        begins = date.fromisoformat(day)
    except ValueError:
        raise ValueError(f"{day!r} in {text!r} is neither a day such as 2027-01-31 nor {LATER!r}") from None
    return Demand(product, version, datetime(begins.year, begins.month, begins.day, tzinfo=UTC).timestamp())


def key(version: str) -> Key | None:
    """Return what versions are ordered by, or None for what is no version."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return None
    numbers = [int(each) for each in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        del numbers[-1]
    if not found[2]:
        return tuple(numbers), (1,)
    parts = found[2].split(".")
    return tuple(numbers), (0, *((0, int(each), "") if each.isdecimal() else (1, 0, each) for each in parts))


def versions_of(user_agent: str) -> dict[str, list[str]]:
    """Return the versions of each product, named in small letters, that a user agent names."""
    while (bare := _COMMENT.sub(" ", user_agent)) != user_agent:
        user_agent = bare
    found: dict[str, list[str]] = {}
    for each in user_agent.split():
        product, slash, version = each.partition("/")
        if slash:
            found.setdefault(product.lower(), []).append(version)
    return found


def judge(demands: Sequence[Demand], user_agent: str, now: float) -> Judgement:
    """Judge an agent by its user agent at ``now``, seconds since 1970. Of warnings the nearest counts."""
    if not demands:
        return Judgement()
    known = versions_of(user_agent)
    warning = Judgement()
    for demand in sorted(demands, key=lambda each: each.begins):
        for version in known.get(demand.product.lower(), ()):
            has, least = key(version), key(demand.version)
            if has is not None and least is not None and has >= least:
                continue
            if demand.begins <= now:
                return Judgement(refused=demand, version=version, readable=has is not None)
            if warning.coming is None:
                warning = Judgement(coming=demand, version=version, readable=has is not None)
    return warning


def least(demands: Sequence[Demand], product: str, now: float) -> str:
    """Return the least version of a product that is served at ``now``; "" where any is."""
    held = [each.version for each in demands if each.product.lower() == product and each.begins <= now]
    return max(held, key=lambda version: key(version) or ((), ()), default="")
