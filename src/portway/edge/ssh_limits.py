"""What the SSH gateway is given, and its limits: unit, default, and what zero means (``docs/limits.md``).

The deadline for authenticating and the numbers of strangers are those of agents (``edge/ports.py``).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portway.edge.ssh_login import Keys


@dataclass(frozen=True, slots=True)
class SshLimits:
    """What an SSH client may do."""

    keys: int = 10
    """Different public keys that a client may offer. 0: none."""
    request: float = 10.0
    """Seconds for the command, and then for the forwarding. 0 is not allowed."""
    channels: int = 1024
    """Visitors' connections of one SSH client at a time. 0: none."""
    alive_interval: float = 10.0
    """Seconds of silence after which a client is asked whether it lives. 0: never."""
    alive_misses: int = 2
    """Questions that it may leave unanswered. 0 is not allowed."""


@dataclass(frozen=True, slots=True)
class SshSetup:
    """What the gateway needs besides what agents' has: who knows whose key it is, the host's private key."""

    keys: "Keys"
    host_key: bytes
    """In OpenSSH's form."""
    limits: SshLimits = field(default_factory=SshLimits)

    def __repr__(self) -> str:
        """Leave the key out: reprs end up in logs."""
        return f"SshSetup({self.limits})"
