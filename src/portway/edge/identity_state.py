"""What must survive a login: sealed into its state, bound to a browser, good for a quarter of an hour.

Nothing is stored for a visitor who has not signed in, so a flood of them costs no memory and a restart of the
service interrupts nobody: all that the login needs travels with the visitor, encrypted under the service's
secret, and comes back unread by anybody. So does what the provider says, from the callback host to the
endpoint, for a minute. Neither opens anything alone: a cookie of the endpoint's own host must fit to it,
which only the browser that began has. Cookies made here carry a proof, too: what is no cookie of ours is
refused without asking anybody.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

import msgspec

from portway.edge.identity_pages import LoginFailed

LIFE: Final = 900.0
"""Seconds for a whole login."""
RETURN_LIFE: Final = 60.0
"""Seconds from the provider's answer until the visitor is back at the endpoint."""
STATE_LENGTH: Final = 8192
"""Characters of a state that is read."""
RETURN_LENGTH: Final = 16_384
"""The same of what the callback host hands on."""

_NONCE: Final = 12
_RANDOM: Final = 24
_PROOF: Final = 15


class LoginState(msgspec.Struct, frozen=True, array_like=True):
    """One login. ``root`` is what its secrets are made of."""

    at: float
    account_id: str
    client: str
    """Digest of who is asked (``IdentitySettings.client``)."""
    settings: str
    """Digest of all that was asked for (``IdentitySettings.digest``)."""
    realm: str
    """Where its session will be good."""
    auth_id: str
    prefix: str
    """Before the reserved paths of the endpoint."""
    origin: str
    """Scheme, host and port of the endpoint."""
    target: str
    """Path and query to come back to."""
    bound: str
    """Hash of the browser's cookie."""
    root: str

    @property
    def nonce(self) -> str:
        """What the id_token repeats."""
        return _derived("nonce", self.root)

    @property
    def verifier(self) -> str:
        """The secret of PKCE (RFC 7636)."""
        return _derived("verifier", self.root)

    @property
    def challenge(self) -> str:
        """What the provider is told of it: S256."""
        return _written(hashlib.sha256(self.verifier.encode()).digest())


class Returned(msgspec.Struct, frozen=True, array_like=True):
    """What a provider sent back for a login."""

    at: float
    state: LoginState
    code: str
    error: str = ""
    """What went wrong at the provider, as it says (RFC 6749 §4.1.2.1), and a description."""
    description: str = ""
    issuer: str | None = None
    """Who says it (RFC 9207); None: it does not say."""


S = TypeVar("S", LoginState, Returned)


class StateSeal:
    """Makes and reads states, what came back for them, and cookies of one service."""

    def __init__(self, secret: bytes) -> None:
        """Derive keys from the service's secret: what was made before a restart is good after it."""
        self._state = _key(secret, b"login state")
        self._return = _key(secret, b"login return")
        self._proof = _key(secret, b"login token")

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return "<StateSeal>"

    def seal(self, state: LoginState) -> str:
        """Write a state so that nobody else can read or make one."""
        return _sealed(self._state, state)

    def open(self, text: str, now: float) -> LoginState:
        """Read a state. Raises LoginFailed 3107 without one, 3108 for none of ours, 3119 for an old one."""
        if not text:
            raise LoginFailed(3107)
        state = _opened(self._state, text, LoginState) if len(text) <= STATE_LENGTH else None
        if state is None:
            raise LoginFailed(3108, "the state is none of ours")
        if not -LIFE < now - state.at < LIFE:
            raise LoginFailed(3119)
        return state

    def seal_return(self, returned: Returned) -> str:
        """Write what a provider sent back, likewise."""
        return _sealed(self._return, returned)

    def open_return(self, text: str, now: float) -> Returned:
        """Read it. Raises LoginFailed 3120 without it, 3123 for what is none of ours, 3122 when it is old."""
        if not text:
            raise LoginFailed(3120)
        returned = _opened(self._return, text, Returned) if len(text) <= RETURN_LENGTH else None
        if returned is None:
            raise LoginFailed(3123, "what the visitor came back with was not made here")
        if not -RETURN_LIFE < now - returned.at < RETURN_LIFE:
            raise LoginFailed(3122)
        return returned

    def token(self) -> str:
        """Make a random token that is known as ours."""
        value = secrets.token_bytes(_RANDOM)
        return _written(value + self._proven(value))

    def is_ours(self, token: str) -> bool:
        """Tell whether a token was made here."""
        if len(token) != (_RANDOM + _PROOF) * 4 // 3:
            return False
        try:
            data = _read(token)
        except ValueError:
            return False
        return hmac.compare_digest(data[_RANDOM:], self._proven(data[:_RANDOM]))

    def _proven(self, value: bytes) -> bytes:
        return hmac.new(self._proof, value, hashlib.sha256).digest()[:_PROOF]


def _sealed(key: bytes, value: LoginState | Returned) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE)
    return _written(nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(value), None))


def _opened(key: bytes, text: str, kind: type[S]) -> S | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data = _read(text)
        return msgspec.json.decode(AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], None), type=kind)
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        return None


def hashed(token: str) -> str:
    """Return under what a token is kept: who reads that cannot use it."""
    return hashlib.sha256(b"portway token " + token.encode()).hexdigest()


def new_root() -> str:
    """Make what the secrets of one login are made of."""
    return _written(secrets.token_bytes(32))


def _derived(what: str, root: str) -> str:
    return _written(hmac.new(root.encode(), what.encode(), hashlib.sha256).digest())


def _key(secret: bytes, what: bytes) -> bytes:
    return hmac.new(secret, b"portway " + what, hashlib.sha256).digest()


def _written(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(text: str) -> bytes:
    """Read base64 for URLs. Raises ValueError for what is none, or is not written as we write it."""
    data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _written(data) != text:
        raise ValueError("not as it was written")
    return data
