"""The key by which SSH clients know this service: made on the first start, kept in the data folder.

``ssh_host_ed25519_key`` is private (0600), ``….pub`` beside it is what clients see. ``ssh_known_hosts`` is
written at each start, for the port that the listener really has: a line for a user's known_hosts, or a file
to point ``UserKnownHostsFile`` to.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portway.control import files
from portway.errors import ConfigError

KEY: Final = "ssh_host_ed25519_key"
PUBLIC: Final = f"{KEY}.pub"
KNOWN_HOSTS: Final = "ssh_known_hosts"

SSH_PORT: Final = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host key: ``private`` in OpenSSH's form, ``public`` as ``ssh-ed25519 AAAA…``."""

    private: bytes
    public: str

    def __repr__(self) -> str:
        """Show the public half only."""
        return f"HostKey({self.public!r})"

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``, as ssh asks about it."""
        blob = base64.b64decode(self.public.split()[1])
        return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def load_or_make(folder: Path) -> HostKey:
    """Return the key of a data folder. Raises ConfigError when it cannot be read or written."""
    private, public = folder / KEY, folder / PUBLIC
    try:
        if not private.exists():
            made = _make()
            files.replace(public, made.public.encode() + b"\n", files.PUBLIC)
            files.replace(private, made.private)
            return made
        content = private.read_bytes()
        if not public.exists():
            files.replace(public, _public_of(content).encode() + b"\n", files.PUBLIC)
        return HostKey(content, public.read_text().strip())
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{private}: no key: {error}; remove it to have it made anew") from error


def known_hosts_line(key: HostKey, hosts: Sequence[str], port: int) -> str:
    """Return the line of a known_hosts file, for a service of these names."""
    names = hosts if port == SSH_PORT else [f"[{host}]:{port}" for host in hosts]
    return f"{','.join(names)} {key.public}"


def keep_known_hosts(folder: Path, line: str) -> Path:
    """Write the line where clients of this machine can use it; return the file. Raises ConfigError."""
    path = folder / KNOWN_HOSTS
    try:
        files.replace(path, line.encode() + b"\n", files.PUBLIC)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return path


def _make() -> HostKey:
    # 0.1 s, only when there is no key yet.
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    return HostKey(private, _public_of(private))


def _public_of(private: bytes) -> str:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_ssh_private_key(private, None)
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
