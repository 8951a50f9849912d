"""Proofs that the service hands to agents and recognises later, also after a restart.

A cookie proves that a ClientId was given to an account; a bind token proves that an endpoint was.
Both are HMAC-SHA-256 over what they prove, under the service's secret: nothing is stored, and what
cannot be verified proves nothing. A token is bound to the *place* (host or port), not to the whole
URL, because a restart may change the public port.
"""

import hashlib
import hmac
from typing import TYPE_CHECKING

from portway.edge.registry import address

if TYPE_CHECKING:
    from portway.model.url import Url


class Seal:
    """Makes and checks proofs."""

    def __init__(self, secret: bytes) -> None:
        """Use this secret, at least 32 bytes. Raises ValueError for a shorter one."""
        if len(secret) < 32:
            raise ValueError("the secret of the service is shorter than 32 bytes")
        self._secret = secret

    def __repr__(self) -> str:
        """Show nothing of the secret."""
        return "<Seal>"

    def cookie(self, account_id: str, client_id: str) -> str:
        """Prove that this account was given this ClientId."""
        return self._sign("cookie", account_id, client_id)

    def knows_cookie(self, cookie: str, account_id: str, client_id: str) -> bool:
        """Check a cookie, in constant time."""
        return _equal(cookie, self.cookie(account_id, client_id))

    def token(self, account_id: str, bind_id: str, url: "Url", *, drawn: bool = True) -> str:
        """Prove that this account was given this endpoint under this bind id.

        ``drawn``: the service had chosen the address; else the agent had asked for it by name.
        """
        kind, place = address(url.scheme, url.host, url.port)
        return self._sign("bind", account_id, bind_id, kind, str(place), *([] if drawn else ["named"]))

    def knows_token(
        self, token: str, account_id: str, bind_id: str, url: "Url", *, drawn: bool = True
    ) -> bool:
        """Check a bind token, in constant time."""
        return _equal(token, self.token(account_id, bind_id, url, drawn=drawn))

    def _sign(self, *facts: str) -> str:
        # Each fact with its length: no two lists of facts give the same text.
        text = "".join(f"{len(fact)}:{fact}" for fact in facts)
        return "v1." + hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
