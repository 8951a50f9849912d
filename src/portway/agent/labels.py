"""Labels: by them an edge of the service finds the agents behind it, in place of a URL of their own.

An edge (a TCP, TLS or HTTPS edge, made in the service) has the address, and what is done with its traffic;
its backend names labels. An endpoint with all of them gets its visitors. Such an endpoint has no URL, name or
policy: these are the edge's.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from portway.agent.checks import expect_text, listed
from portway.errors import ConfigError, Error

LABELED: Final = "labeled"
"""The protocol of an endpoint that has labels: older SDKs spell it so."""

Labels: TypeAlias = Mapping[str, str] | Sequence[str] | str
"""A mapping, or texts such as "edge:edgtcp_…" or "edge=edgtcp_…"."""


def read_labels(given: Labels | None) -> dict[str, str]:
    """Return labels as a mapping; None has none. Raises `ConfigError` for what are no labels."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for key, value in given.items():
            expect_text(key, "labels")
            expect_text(value, "labels")
        return dict(given)
    texts = [given] if isinstance(given, str) else given
    return dict(_pair(text) for text in listed(texts, str, "labels"))


def _pair(text: str) -> tuple[str, str]:
    """Split at the first colon or equals sign."""
    ends = [text.index(sign) for sign in ":=" if sign in text]
    key, value = (text[: min(ends)], text[min(ends) + 1 :]) if ends else ("", "")
    if not (key and value):
        raise ConfigError(f"labels: {text!r} is not written key:value")
    return key, value


def refuse_beside_labels(labels: Mapping[str, str], proto: str | None, **others: object) -> None:
    """Refuse what an endpoint with labels cannot have. Raises `ConfigError`, `Error` 357 for none at all."""
    if not labels:
        raise Error('an endpoint with proto "labeled" needs at least one label', 357)
    if proto not in (None, LABELED):
        raise ConfigError(f"proto={proto!r} contradicts labels: their endpoint is the edge's")
    for name, value in others.items():
        if value:
            raise ConfigError(f"{name} cannot go with labels: it is the edge's")
