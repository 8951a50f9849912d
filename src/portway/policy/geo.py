"""Where an address is and who has it: the shape of what a database says, for ``conn.geo`` and the like.

The file is the operator's and is read elsewhere; a policy is given a function.
"""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """A place; what is unknown is empty."""

    city: str = ""
    continent: str = ""
    country: str = ""
    country_code: str = ""
    """ISO 3166-1, two letters."""
    is_eu: bool = False
    latitude: str = ""
    longitude: str = ""
    metro_code: str = ""
    postal_code: str = ""
    radius: str = ""
    """Kilometres."""
    subdivision: str = ""
    timezone: str = ""


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Geo:
    """All that is known of one address."""

    location: Place = NOWHERE
    registered: Place = NOWHERE
    """Where the network is registered."""
    as_number: int | None = None
    as_organization: str = ""
    categories: tuple[str, ...] = field(default=())
    """Dotted names; an address in ``a.b.c`` is also in ``a`` and ``a.b``."""


GeoLookup = Callable[[str], Geo]
"""Address → what is known. Returns an empty Geo for an address that is unknown or none at all."""
