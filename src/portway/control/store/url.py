"""The URL of a PostgreSQL database: what is one, and what may be shown of it.

Apart from ``postgres.py``, so that whoever only reads options need not load the database library.
"""

import re
from typing import Final

_URL: Final = re.compile(r"postgres(?:ql)?://(?:[^@/?#\s]*@)?([^@/?#\s]*)/([^@/?#\s]+)(?:\?([^#\s]*))?")


def is_url(where: str) -> bool:
    """Tell whether a text is the URL of a PostgreSQL database."""
    return _URL.fullmatch(where) is not None


def place(url: str) -> str:
    """Return what may be shown of a URL: host and database, neither user nor password nor options."""
    found = _URL.fullmatch(url)
    return f"postgresql://{found[1]}/{found[2]}" if found else "postgresql://…"
