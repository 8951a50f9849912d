"""Where the store of a data folder is: the file in it, or a database that the user names.

The URL of a database may hold a password, so the folder does not keep it. But it keeps which database
the service last used (host and name), so that ``portway admin`` without a URL does not work on a file
that nobody looks at any more.
"""

import os
from pathlib import Path
from typing import Final

from portway.control import files
from portway.control.store.url import place
from portway.errors import ConfigError

VARIABLE: Final = "PORTWAY_DATABASE_URL"
"""Names the database to the service, to its controller and to ``portway admin``."""

_FILE: Final = "portway.db"
_NOTE: Final = "database"


def store_of(data_dir: Path, url: str = "") -> Path | str:
    """Return the URL, else the file of a folder."""
    return url or data_dir / _FILE


def remember(data_dir: Path, url: str) -> None:
    """Keep where the store of a folder is. Raises OSError."""
    note = data_dir / _NOTE
    if url:
        files.replace(note, f"{place(url)}\n".encode())
    else:
        note.unlink(missing_ok=True)


def existing(data_dir: Path, url: str = "") -> Path | str:
    """Return where the store of a service that has run is. Raises ConfigError when that is not known."""
    if url:
        return url
    try:
        elsewhere = (data_dir / _NOTE).read_text().strip()
    except OSError:
        elsewhere = ""
    if elsewhere:
        raise ConfigError(
            f"{data_dir}: the store of this service is {elsewhere}; say --database-url or set {VARIABLE}"
        )
    if not (data_dir / _FILE).exists():
        raise ConfigError(
            f"{data_dir}: no service has run with this data folder; start `portway serve`, or say"
            " --data-dir or --database-url"
        )
    return data_dir / _FILE


def environment(url: str) -> dict[str, str]:
    """Return this process's variables for a child that shall use this store. Other users do not see them."""
    kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return kept | ({VARIABLE: url} if url else {})
