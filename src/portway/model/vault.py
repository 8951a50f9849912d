"""Vaults and their secrets: texts that policies use and nobody reads back."""

import re
from typing import Final

import msgspec

NAME: Final = 255
"""Characters of the name of a vault or a secret."""
VALUE: Final = 32_768
"""Bytes of a secret's value."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_/.-]+", re.ASCII)


def is_name(text: str) -> bool:
    """Tell whether a text has only characters that a name may have."""
    return _NAME.fullmatch(text) is not None


class Vault(msgspec.Struct, frozen=True):
    """A set of secrets. Times are Unix seconds; ``created_by`` and ``updated_by`` are users or keys."""

    id: str
    account_id: str
    name: str
    description: str
    metadata: str
    created_at: float
    updated_at: float
    created_by: str
    updated_by: str


class Secret(msgspec.Struct, frozen=True):
    """What is told of a secret: all but its value."""

    id: str
    account_id: str
    vault_id: str
    vault_name: str
    name: str
    description: str
    metadata: str
    created_at: float
    updated_at: float
    created_by: str
    updated_by: str
