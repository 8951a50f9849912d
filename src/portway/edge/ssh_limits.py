"""Every limit of the SSH gateway: unit, default, and what zero means. Listed in ``docs/limits.md``.

The deadline for authenticating and the numbers of strangers are those of agents (``edge/ports.py``).
"""

from dataclasses import dataclass


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
