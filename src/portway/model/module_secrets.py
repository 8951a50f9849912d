"""The secrets in modules of routes: applications' and webhooks', which are kept sealed.

A secret stands where it was written; sealed, it is ``{"sealed": "<base64>"}`` in that place, so the rest of a
module can be read without any key. What is sealed belongs to its route and its place: moved to another of
either, it cannot be opened. A text in such a place was written before secrets were sealed.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from portway.errors import ConfigError

SECRETS: Final[Mapping[str, str]] = {
    "oauth": "client_secret",
    "oidc": "client_secret",
    "webhook_verification": "secret",
}
"""Module → the key under which its secrets stand, at whatever depth."""

_SEALED: Final = "sealed"

Modules = Mapping[str, Mapping[str, Any]]

Seal = Callable[[bytes, str], bytes]
"""Seals or opens something that belongs to somebody. Raises ConfigError."""

_Turn = Callable[[object, str], object]


def sealed(modules: Modules, owner: str, seal: Seal) -> dict[str, Mapping[str, Any]]:
    """Return modules whose secrets are sealed; those that are sealed already stay as they are."""

    def turn(value: object, place: str) -> object:
        if not isinstance(value, str):
            return value
        return {_SEALED: b64encode(seal(value.encode(), f"{owner} {place}")).decode("ascii")}

    return _all(modules, turn)


def opened(modules: Modules, owner: str, open_: Seal) -> dict[str, Mapping[str, Any]]:
    """Return modules as they were written. Raises ConfigError."""

    def turn(value: object, place: str) -> object:
        if not isinstance(value, Mapping):
            return value
        kept = str(cast("Mapping[str, object]", value).get(_SEALED) or "")
        try:
            return open_(b64decode(kept), f"{owner} {place}").decode()
        except ValueError as error:
            raise ConfigError(f"the secret of {owner} {place} was altered in the store") from error

    return _all(modules, turn)


def _all(modules: Modules, turn: _Turn) -> dict[str, Mapping[str, Any]]:
    return {
        name: _turned(module, SECRETS[name], name, turn) if name in SECRETS else module
        for name, module in modules.items()
    }


def _turned(value: Mapping[str, Any], key: str, place: str, turn: _Turn) -> dict[str, Any]:
    """Return a module, or a part of it, with each secret turned."""
    made: dict[str, Any] = {}
    for name, each in value.items():
        within = f"{place}.{name}"
        if name == key and each:
            made[name] = turn(each, within)
        else:
            made[name] = (
                _turned(cast("Mapping[str, Any]", each), key, within, turn)
                if isinstance(each, Mapping)
                else each
            )
    return made
