"""The things that the control plane keeps: accounts, their keys, and the names they hold.

A secret is never part of these values: the store knows only hashes, and a fresh secret is handed
out once, beside the value it belongs to (:class:`Issued`).
"""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Account(msgspec.Struct, frozen=True):
    """Who owns credentials, names and endpoints. ``created_at`` is Unix seconds."""

    id: str
    name: str
    plan: str
    created_at: float


class Credential(msgspec.Struct, frozen=True):
    """An authtoken without its secret. ``revoked_at`` is None while it is good.

    ``acl`` are the rules of what its sessions may bind (``model/acl.py``), ``owner_id`` is its user.
    """

    id: str
    account_id: str
    description: str
    created_at: float
    revoked_at: float | None = None
    metadata: str = ""
    owner_id: str = ""
    acl: tuple[str, ...] = ()


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the API without its secret. ``revoked_at`` is None while it is good."""

    id: str
    account_id: str
    description: str
    created_at: float
    revoked_at: float | None = None
    metadata: str = ""
    owner_id: str = ""


class SshCredential(msgspec.Struct, frozen=True):
    """A public key with which OpenSSH may connect: one line of an authorized_keys file."""

    id: str
    account_id: str
    description: str
    created_at: float
    public_key: str
    metadata: str = ""
    owner_id: str = ""
    acl: tuple[str, ...] = ()


class Issued(msgspec.Struct, Generic[T], frozen=True):
    """A fresh key and its secret, which is shown once and stored nowhere."""

    value: T
    token: str

    def __repr__(self) -> str:
        """Show everything but the token: reprs end up in logs."""
        return f"Issued({self.value!r})"


class Grant(msgspec.Struct, frozen=True):
    """What a good authtoken gives: whom the session belongs to, and what it may bind."""

    account_id: str
    account_name: str
    plan: str
    credential_id: str
    acl: tuple[str, ...] = ()


class Reservation(msgspec.Struct, frozen=True):
    """A name or a port that a session holds.

    ``held_until`` is None while its session is online, else the Unix second up to which nobody
    else gets it.
    """

    url: str
    account_id: str
    session_key: str
    held_until: float | None = None
