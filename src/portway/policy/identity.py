"""Whether a visitor is signed in: what ``oauth`` and ``openid-connect`` want, and what a session is worth.

Pure: who asks brings the session and the time. The edge (``edge/identity.py``) carries the answer out.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from portway.errors import Error
from portway.model.identity import VisitorSession
from portway.model.url import normal_host
from portway.policy.verdict import Respond

PREFIX: Final = "/ngrok"
"""Before the reserved paths of an endpoint."""
OLD_PREFIX: Final = "/auth"
"""The same of the modules of older agents."""

PATHS: Final = {
    PREFIX: ("/ngrok/login", "/ngrok/logout", "/ngrok/login/complete"),
    OLD_PREFIX: ("/auth/authn", "/auth/logout", "/auth/complete"),
}
"""Prefix → where a login begins, where a session ends, and where the visitor comes back to."""

SUBJECT_LENGTH: Final = 255
EMAIL_LENGTH: Final = 254
NAME_LENGTH: Final = 255
TARGET_LENGTH: Final = 2048
"""Bytes of the path and query that a visitor comes back to; of a longer one, "/"."""


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """What one action asks for, resolved for one request."""

    kind: Literal["oauth", "oidc"]
    provider: str = ""
    """Of ``oauth``."""
    issuer: str = ""
    """Of ``openid-connect``; of ``oauth`` what the operator has put in the place of the usual one."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    managed: bool = False
    """The application is the operator's, not the policy's: its tokens are not handed to upstreams."""
    scopes: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """Further ones of the authorization URL."""
    auth_id: str = ""
    most: float = 0.0
    """Seconds that a session may last; 0: for ever."""
    idle: float = 0.0
    """Seconds that it may be unused; 0: as long as the service keeps it."""
    refresh: float = 0.0
    """Seconds after which the person is looked up again; 0: never."""
    cookie_domain: str = ""
    """"": the cookie is the host's alone."""
    prefix: str = PREFIX

    @property
    def client(self) -> str:
        """Digest of who is asked: a session of another provider or application is none here."""
        return _digest(self.kind, self.provider, self.issuer, self.client_id)

    @property
    def digest(self) -> str:
        """Digest of all that the provider is asked for."""
        return _digest(self.client, *self.scopes)

    def realm(self, host: str) -> str:
        """Return where a session is good: sessions of another host or ``auth_id`` are none here."""
        return f"{self.cookie_domain or host} {self.kind if not self.auth_id else self.auth_id}"

    @property
    def mark(self) -> str:
        """Return what tells the cookies of this action from those of another one on the same host."""
        return f".{_digest(self.auth_id)[:12]}" if self.auth_id else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request the decision needs."""

    method: str
    scheme: str
    authority: str
    """Host and perhaps port, as the visitor wrote them."""
    target: str
    cookies: tuple[tuple[str, str], ...] = ()
    user_agent: str = ""
    client_ip: str = ""
    mode: str = ""
    """What the browser wants it for, ``Sec-Fetch-Mode``: "navigate" is a page; "": it does not say."""

    @property
    def path(self) -> str:
        """The path without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The edge has recognised the visitor: for ``Run.resume``."""

    session: VisitorSession
    client_id: str
    refreshed: bool = False
    """The person was looked up at the provider just now."""


class Standing(Enum):
    """What a session is worth now."""

    GOOD = "good"
    STALE = "stale"
    """The person must be looked up again first."""
    IDLE = "idle"
    """It was not used for too long."""
    OLD = "old"
    """It has lasted too long."""
    FOREIGN = "foreign"
    """It is none of this endpoint's."""


def standing(
    session: VisitorSession, account_id: str, realm: str, settings: IdentitySettings, now: float
) -> Standing:
    """Judge a session that a cookie names."""
    if session.account_id != account_id or session.realm != realm or session.client != settings.client:
        return Standing.FOREIGN
    if settings.most and now >= session.created_at + settings.most:
        return Standing.OLD
    if settings.idle and now >= session.last_active + settings.idle:
        return Standing.IDLE
    if now >= session.expires_at:
        return Standing.IDLE
    due = settings.refresh and now >= session.refreshed_at + settings.refresh
    if due or session.settings != settings.digest:
        return Standing.STALE
    return Standing.GOOD


_LOCAL: Final = re.compile(r"/(?![/\\])[!-~]*", re.ASCII)


def local_target(text: str) -> str | None:
    """Return a path of the same host to come back to; None if the text leads elsewhere or cannot be sent.

    A browser reads ``//host``, ``/\\host`` and what has tabs or line breaks in it as another host.
    """
    if len(text) > TARGET_LENGTH or "\\" in text or not _LOCAL.fullmatch(text):
        return None
    return text


def clean(text: object, most: int) -> str:
    """Return a claim as one line of text of bounded length: nothing that could end a field or a page."""
    if not isinstance(text, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in text[: most * 2]).strip()[:most]


_EMAIL: Final = re.compile(
    r"[^@\s\x00-\x1f\x7f,;<>\"()\[\]\\:]{1,64}@[^@\s\x00-\x1f\x7f,;<>\"()\[\]\\:/]{1,189}"
)


def is_email(text: str) -> bool:
    """Tell whether a text is one address of e-mail and nothing else."""
    return len(text) <= EMAIL_LENGTH and text.isprintable() and _EMAIL.fullmatch(text) is not None


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class NotSignedIn:
    """The visitor has to go elsewhere first: for ``Run.resume``."""

    answer: Respond
    standing: Standing | None = None
    """What has become of a session that was."""


def check_cookie_domain(text: str, host: str, shared: tuple[str, ...]) -> tuple[str, tuple[int, str] | None]:
    """Read ``auth_cookie_domain`` of an endpoint at ``host`` ("" or a wildcard: not known yet).

    Returns the domain, and a problem: 2243 for no domain, 2242 for bad punycode, 2241 for one that the
    endpoint does not belong to, or that other accounts' endpoints belong to as well.
    """
    try:
        domain = normal_host(text.strip().removeprefix("."))
    except Error as error:
        code = 2242 if "xn--" in text.lower() or not text.isascii() else 2243
        return "", (code, f"auth_cookie_domain is no domain: {error.message}")
    if "." not in domain or domain.rpartition(".")[2].isdigit() or "*" in domain or ":" in domain:
        return "", (2243, f"auth_cookie_domain {text[:80]!r} is no domain")
    if any(each == domain or each.endswith(f".{domain}") for each in shared):
        return "", (2241, f"endpoints of other accounts are below {domain}, which would get the cookie too")
    bare = host.removeprefix("*.")
    if bare and not belongs(bare, domain):
        return "", (2241, f"the endpoint {host} does not belong to the domain {domain}")
    return domain, None


def belongs(host: str, domain: str) -> bool:
    """Tell whether a host is a domain or below it."""
    return host == domain or host.endswith(f".{domain}")
