"""How an SSH client shows whose it is: public keys, each judged when it is offered.

OpenSSH offers one key after the other and, when it has no more, goes on to ``keyboard-interactive``. Nobody
can log in by that: it is named so that a client which has run out of keys comes and can be told why it is
refused, which SSH gives no other way to say. A client whose key is known but may not be used is let in and
told in its session, where there is an exit status.
"""

import asyncio
import re
from typing import TYPE_CHECKING, Final, Protocol

from portway.edge.agent_session import CONTROL_RETRY
from portway.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.edge.admission import Admission
    from portway.edge.ports import Limits
    from portway.edge.ssh_limits import SshLimits
    from portway.model.entities import Grant

VERSIONS: Final = ("v2",)
"""Versions of the command's syntax, which a client may say as its user. The last is the newest."""

_VERSION: Final = re.compile(r"v\d+", re.ASCII).fullmatch
_AWAY: Final = "ERR_NGROK_128"
_UNKNOWN: Final = "ERR_NGROK_1102"


class Keys(Protocol):
    """Who knows whose key it is."""

    async def authenticate_key(self, fingerprint: str, source: str) -> "Grant":
        """Find the owner of a key. Raises Error 1102 or 1103, or 128 when that cannot be told now."""
        ...


class Login:
    """One client's way in."""

    def __init__(
        self, keys: Keys, admission: "Admission", limits: "Limits", ssh: "SshLimits", address: str
    ) -> None:
        """Judge a client from this IP address."""
        self._keys = keys
        self._admission = admission
        self._limits = limits
        self._ssh = ssh
        self._address = address
        self._judged: dict[str, Grant | Error | None] = {}
        self._waited = False
        self.error: Error | None = None
        """Why the client will be told to go once it is in: 1106."""

    def __repr__(self) -> str:
        """Show how far it is."""
        return f"<Login from {self._address} keys={len(self._judged)}>"

    async def begin(self, user: str) -> None:
        """A client has said its user. From where keys are guessed it waits first, once."""
        self.error = None
        if _VERSION(user) and user not in VERSIONS:
            self.error = Error(
                f"The user {user!r} is no version of the commands' syntax; the newest is {VERSIONS[-1]!r}.",
                1106,
            )
        if not self._waited:
            self._waited = True
            await asyncio.sleep(self._admission.delay(self._address, asyncio.get_running_loop().time()))

    async def knows(self, fingerprint: str, refuse: "Callable[[Error], None]") -> bool:
        """Judge a key. ``refuse`` ends the connection: there are too many keys, or nobody can tell now."""
        if fingerprint not in self._judged:
            if len(self._judged) >= self._ssh.keys:
                refuse(Error(f"Too many keys were offered; at most {self._ssh.keys} are looked at.", 1101))
                return False
            try:
                self._judged[fingerprint] = await self._ask(fingerprint)
            except Error as error:
                refuse(error)
                return False
        return self._judged[fingerprint] is not None

    def judgement(self, fingerprint: str) -> "Grant | Error":
        """Return what became of the key that the client has proved to have."""
        return self._judged.get(fingerprint) or self.why_not()

    def why_not(self) -> Error:
        """Return what a client is told that has no more keys to offer."""
        if not self._judged:
            return Error(
                "No SSH key was offered. Make one by ssh-keygen and register it: "
                "portway api ssh-credentials create --public-key KEY", 1100,
            )  # fmt: skip
        return Error(
            "No account of this service has any of your SSH keys. Register one: "
            "portway api ssh-credentials create --public-key KEY", 1102,
        )  # fmt: skip

    def failed(self, now: float) -> None:
        """The client went without being let in: wrong keys count as wrong authtokens do."""
        if self._judged:
            self._admission.wrong_token(self._address, now)

    async def _ask(self, fingerprint: str) -> "Grant | Error | None":
        """Have a key judged. A control plane that is only starting is waited for. Raises Error."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._limits.auth_deadline
        while True:
            try:
                return await self._keys.authenticate_key(fingerprint, self._address)
            except Error as error:
                if error.code == _UNKNOWN:
                    return None
                if error.code != _AWAY:
                    return error
                if loop.time() >= give_up:
                    raise
            await asyncio.sleep(CONTROL_RETRY)
