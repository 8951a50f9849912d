"""What must survive a login: sealed into its state, bound to a browser, good for a quarter of an hour.

Nothing is stored for a visitor who has not signed in, so a flood of them costs no memory: all that the login
needs travels with the visitor, encrypted under the service's secret, and comes back unread by anybody. The
state alone opens nothing: a cookie of the endpoint's own host must fit to it, which only the browser that
began has. Cookies and codes made here carry a proof, too: what is no cookie of ours is refused without
asking anybody.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec

from portway.edge.identity_pages import LoginFailed

LIFE: Final = 900.0
"""Seconds for a whole login."""
CODE_LIFE: Final = 60.0
"""Seconds from the provider's answer until the visitor is back at the endpoint."""
STATE_LENGTH: Final = 8192
"""Characters of a state that is read."""

_NONCE: Final = 12
_RANDOM: Final = 24
_PROOF: Final = 15


class LoginState(msgspec.Struct, frozen=True, array_like=True):
    """One login. ``root`` is what its secrets are made of."""

    at: float
    key: str
    """Which settings it was begun with; see ``Identities``."""
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


class StateSeal:
    """Makes and reads states, cookies and codes of one service."""

    def __init__(self, secret: bytes) -> None:
        """Derive keys from the service's secret: what was made before a restart is good after it."""
        self._state = _key(secret, b"login state")
        self._proof = _key(secret, b"login token")

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return "<StateSeal>"

    def seal(self, state: LoginState) -> str:
        """Write a state so that nobody else can read or make one."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE)
        return _written(nonce + AESGCM(self._state).encrypt(nonce, msgspec.json.encode(state), None))

    def open(self, text: str, now: float) -> LoginState:
        """Read a state. Raises LoginFailed 3107 without one, 3108 for none of ours, 3119 for an old one."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not text:
            raise LoginFailed(3107)
        try:
            data = _read(text) if len(text) <= STATE_LENGTH else b""
            state = msgspec.json.decode(
                AESGCM(self._state).decrypt(data[:_NONCE], data[_NONCE:], None), type=LoginState
            )
        except (InvalidTag, ValueError, msgspec.MsgspecError) as error:
            raise LoginFailed(3108, "the state is none of ours") from error
        if not -LIFE < now - state.at < LIFE:
            raise LoginFailed(3119)
        return state

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
