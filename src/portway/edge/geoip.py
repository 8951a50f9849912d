"""Where addresses are: the operator's MaxMind files, read for the expressions of policies.

One file or several: of each, whatever it knows is taken (City for places, ASN for networks), the first that
knows something wins. Nothing is downloaded, and nothing is asked of anybody else. The files are mapped, not
read, and looked at only when a policy names what is in them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from portway.errors import ConfigError
from portway.policy.geo import Geo, Place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Lookup = Callable[[str], Geo]
"""Address → what is known of it."""

NOTHING: Final = Geo()


def open_geoip(paths: "Sequence[Path]") -> Lookup:
    """Open files; return what looks an address up. Raises ConfigError that names the bad one."""
    import maxminddb

    library: Any = maxminddb
    readers: list[Any] = []
    for path in paths:
        try:
            readers.append(library.open_database(path))
        except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
            raise ConfigError(f"--geoip: {path} cannot be read: {error}") from error

    def look(address: str) -> Geo:
        found: dict[str, Any] = {}
        for reader in readers:
            try:
                known = reader.get(address)
            except (ValueError, maxminddb.InvalidDatabaseError):
                continue
            if isinstance(known, dict):
                found = {**known, **found}
        return _read(found) if found else NOTHING

    return look


def _read(found: dict[str, Any]) -> Geo:
    number = found.get("autonomous_system_number")
    return Geo(
        _place(found, found.get("country") or {}),
        _place({"continent": found.get("continent")}, found.get("registered_country") or {}),
        number if isinstance(number, int) else None,
        str(found.get("autonomous_system_organization") or ""),
    )


def _place(found: dict[str, Any], country: dict[str, Any]) -> Place:
    location: dict[str, Any] = found.get("location") or {}
    postal: dict[str, Any] = found.get("postal") or {}
    subdivisions: list[dict[str, Any]] = found.get("subdivisions") or []
    return Place(
        city=_name(found.get("city")),
        continent=_name(found.get("continent")),
        country=_name(country),
        country_code=str(country.get("iso_code") or ""),
        is_eu=bool(country.get("is_in_european_union")),
        latitude=_number(location.get("latitude")),
        longitude=_number(location.get("longitude")),
        metro_code=_number(location.get("metro_code")),
        postal_code=str(postal.get("code") or ""),
        radius=_number(location.get("accuracy_radius")),
        subdivision=_name(subdivisions[0]) if subdivisions else "",
        timezone=str(location.get("time_zone") or ""),
    )


def _name(of: dict[str, Any] | None) -> str:
    """Return a name in English."""
    names: dict[str, Any] = (of or {}).get("names") or {}
    return str(names.get("en") or "")


def _number(value: object) -> str:
    return "" if value is None else str(value)
