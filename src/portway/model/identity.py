"""Who has signed in at an endpoint: people, their sessions, and the tokens that a provider gave for them.

These values travel between the edge, which meets the visitor, and the control plane, which keeps them. A
session is known by the hash of its cookie alone: who reads the store cannot enter. Tokens are in clear only
here, on their way; in the store they are sealed.
"""

import re
from urllib.parse import urlsplit

import msgspec


class Tokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider gave. ``expires_at`` is when the access token ends, Unix seconds; 0: not said."""

    access: str = ""
    refresh: str = ""
    identity: str = ""
    expires_at: float = 0.0

    def __repr__(self) -> str:
        """Say what is there, never the tokens: reprs end up in logs."""
        there = [name for name in ("access", "refresh", "identity") if getattr(self, name)]
        return f"Tokens({', '.join(there)})"


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider says of a person. ``subject`` is who it is there, for ever; the rest may change."""

    provider: str
    """``google``… or, of OpenID Connect, the issuer."""
    url: str
    subject: str
    email: str = ""
    """"" when none was told, or one that the provider has not verified."""
    name: str = ""
    username: str = ""


class Browser(msgspec.Struct, frozen=True, omit_defaults=True):
    """From where somebody signed in. Places are "" and 0 without a GeoIP database."""

    user_agent: str = ""
    address: str = ""
    country: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    radius: int = 0


class SessionOpening(msgspec.Struct, frozen=True):
    """A session to be made; ``idle`` and ``most`` are its bounds in seconds, 0 for none."""

    account_id: str
    endpoint_id: str
    url: str
    realm: str
    """Where its cookie is good: a host or a domain, and the ``auth_id``."""
    client: str
    """Digest of who was asked: provider and application. Another one needs another session."""
    settings: str
    """Digest of all that was asked for. A change of it has the person looked up again."""
    token_hash: str
    person: Person
    tokens: Tokens
    browser: Browser
    idle: float = 0.0
    most: float = 0.0


class VisitorSession(msgspec.Struct, frozen=True):
    """A session that stands. Times are Unix seconds."""

    id: str
    account_id: str
    user_id: str
    realm: str
    client: str
    settings: str
    person: Person
    tokens: Tokens
    created_at: float
    last_active: float
    refreshed_at: float
    expires_at: float


class SessionRefresh(msgspec.Struct, frozen=True):
    """What was learnt anew of the person of a session."""

    session_id: str
    account_id: str
    settings: str
    person: Person
    tokens: Tokens


class ProviderApp(msgspec.Struct, frozen=True, omit_defaults=True):
    """The operator's own application at a provider, for policies that only name the provider."""

    client_id: str = ""
    client_secret: str = ""
    issuer: str = ""
    """In the place of the provider's usual one; "" for that."""

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"ProviderApp(client_id={self.client_id!r}, issuer={self.issuer!r})"


def issuer_problem(text: str) -> str:
    """Return what is wrong with an issuer's URL, "" if nothing is.

    Secrets and codes go there: without TLS only on this machine.
    """
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("https", "http") or not host or not re.fullmatch(r"[!-~]+", text):
        return "is no http or https URL"
    if parts.query or parts.fragment or parts.username is not None or "?" in text or "#" in text:
        return "has a query, a fragment or a user in it"
    if parts.scheme == "http" and not is_loopback_host(host):
        return "is http, which would send secrets in clear: use https"
    return ""


def is_loopback_host(host: str) -> bool:
    """Tell whether a host is this machine by its very name."""
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    return re.fullmatch(r"127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", host) is not None
