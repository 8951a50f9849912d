"""Private keys at rest: sealed with AES-256-GCM under a key that lies beside the store, not in it.

So a copy of the database alone, a backup or a dump, opens no certificate. The key is one file of 32
random bytes, mode 0600, made when the first secret is sealed. Controllers that share a PostgreSQL store
must share this file too: copy it to each of their data folders.

A sealed secret is a version byte, four bytes that name the key, a nonce of 12 bytes, then ciphertext
and tag. What it belongs to (an identifier) is authenticated with it, so one row's secret cannot be put
into another's place. Nonces are random: with 96 bits, billions of secrets may be sealed under one key.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portway.control import files
from portway.errors import ConfigError

KEY_FILE: Final = "store.key"
KEY_LENGTH: Final = 32
_VERSION: Final = b"\x01"
_NAME_LENGTH: Final = 4
_NONCE_LENGTH: Final = 12
_HEAD_LENGTH: Final = 1 + _NAME_LENGTH + _NONCE_LENGTH


class Seal:
    """Seals and opens secrets with the key of one file."""

    def __init__(self, path: Path | None = None) -> None:
        """Take where the key lies; it is read when it is first needed. None: there is no key."""
        self._path = path
        self._key: bytes | None = None

    def __repr__(self) -> str:
        """Name the file, never the key."""
        return f"<Seal {self._path}>"

    def seal(self, secret: bytes, belongs_to: str) -> bytes:
        """Seal a secret of something with this identifier. Raises ConfigError: the key cannot be had."""
        key = self._load(make=True)
        nonce = os.urandom(_NONCE_LENGTH)
        head = _VERSION + _name(key) + nonce
        return head + AESGCM(key).encrypt(nonce, secret, _bound(head, belongs_to))

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        """Return the secret. Raises ConfigError: no such key, another one's, or not what was sealed."""
        key = self._load(make=False)
        head = sealed[:_HEAD_LENGTH]
        if head[:1] != _VERSION:
            raise ConfigError(f"the secret of {belongs_to} was sealed by a newer portway or is damaged")
        if head[1 : 1 + _NAME_LENGTH] != _name(key):
            raise ConfigError(
                f"{self._path}: not the key that sealed the secret of {belongs_to}; services that share a"
                " store must share this file"
            )
        try:
            return AESGCM(key).decrypt(
                head[1 + _NAME_LENGTH :], sealed[_HEAD_LENGTH:], _bound(head, belongs_to)
            )
        except (InvalidTag, ValueError) as error:
            raise ConfigError(f"the secret of {belongs_to} was altered in the store") from error

    def _load(self, *, make: bool) -> bytes:
        if self._path is None:
            raise ConfigError("there is no folder for the key of the store's secrets")
        if self._key is None:
            try:
                if make and not self._path.exists():
                    files.make(self._path, os.urandom(KEY_LENGTH))
                key = self._path.read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"{self._path}: the key of the store's secrets cannot be read: {error.strerror}"
                ) from error
            if len(key) != KEY_LENGTH:
                raise ConfigError(f"{self._path}: not {KEY_LENGTH} bytes, so no key of a store's secrets")
            self._key = key
        return self._key


def _name(key: bytes) -> bytes:
    """Return what tells one key from another and tells nothing else."""
    return hashlib.sha256(b"portway store key" + key).digest()[:_NAME_LENGTH]


def _bound(head: bytes, belongs_to: str) -> bytes:
    return head + belongs_to.encode()
