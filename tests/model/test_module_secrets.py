"""Secrets in modules, parted from the rest and put back."""

from base64 import b64encode
from typing import Any

import pytest

from portway.errors import ConfigError
from portway.model.module_secrets import Modules, opened, sealed

WRITTEN: Modules = {
    "oauth": {
        "enabled": True,
        "provider": {"github": {"client_id": "c", "client_secret": "s1", "teams": ["a/b"]}, "google": {}},
    },
    "webhook_verification": {"enabled": True, "provider": "github", "secret": "s2"},
    "oidc": {"client_id": "c", "client_secret": "", "scopes": ["email"]},
    "request_headers": {"add": {"secret": "no secret", "client_secret": "neither"}},
}


def seal(secret: bytes, belongs_to: str) -> bytes:
    """Seal so that a test sees what is in it."""
    return belongs_to.encode() + b"|" + secret[::-1]


def unseal(kept: bytes, belongs_to: str) -> bytes:
    """Open what was sealed for somebody."""
    owner, _, secret = kept.partition(b"|")
    if owner != belongs_to.encode():
        raise ConfigError("another's")
    return secret[::-1]


def kept(place: str, secret: str) -> dict[str, str]:
    """Return what is kept of a secret."""
    return {"sealed": b64encode(seal(secret.encode(), place)).decode()}


def test_secrets_are_sealed_in_their_places_and_nothing_else_is() -> None:
    made: Any = sealed(WRITTEN, "r1", seal)
    github = made["oauth"]["provider"]["github"]
    assert github["client_secret"] == kept("r1 oauth.provider.github.client_secret", "s1")
    assert made["webhook_verification"]["secret"] == kept("r1 webhook_verification.secret", "s2")
    assert made["oidc"]["client_secret"] == ""
    assert made["request_headers"] == WRITTEN["request_headers"]
    assert "s1" not in str(made)
    assert sealed(made, "r1", seal) == made, "what is sealed stays as it is"
    assert opened(made, "r1", unseal) == WRITTEN


def test_what_an_older_version_has_written_is_read() -> None:
    assert opened(WRITTEN, "r1", unseal) == WRITTEN


@pytest.mark.parametrize("value", [{"sealed": "no base64"}, {"sealed": "/w=="}, {}, {"sealed": None}])
def test_what_was_altered_cannot_be_opened(value: dict[str, Any]) -> None:
    def as_it_is(kept: bytes, _: str) -> bytes:
        if not kept:
            raise ConfigError("nothing")
        return kept

    with pytest.raises(ConfigError):
        opened({"oidc": {"client_secret": value or {"sealed": ""}}}, "r1", as_it_is)


def test_a_secret_of_another_route_or_place_cannot_be_opened() -> None:
    made = sealed(WRITTEN, "r1", seal)
    with pytest.raises(ConfigError):
        opened(made, "r2", unseal)
    moved = {"webhook_verification": {"secret": kept("r1 oidc.client_secret", "x")}}
    with pytest.raises(ConfigError):
        opened(moved, "r1", unseal)
