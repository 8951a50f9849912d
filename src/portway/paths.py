"""Where portway keeps its files for one user. Importable by agent, command line and service."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BOOTSTRAP: Final = "bootstrap.json"
"""Written by a service once it accepts; read by agents of the same user that are told nothing."""


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the service's data folder when none is named; it need not exist.

    ``$PORTWAY_DATA_DIR``, else ``$XDG_DATA_HOME/portway``, else ``~/.local/share/portway``. A
    relative ``XDG_DATA_HOME`` is ignored, as the XDG base directory specification demands.
    """
    env = os.environ if environ is None else environ
    if named := env.get("PORTWAY_DATA_DIR"):
        return Path(named).expanduser().absolute()
    base = Path(env.get("XDG_DATA_HOME", ""))
    if not base.is_absolute():
        home = env.get("HOME")
        base = (Path(home) if home else Path.home()) / ".local" / "share"
    return base / "portway"


def bootstrap_file(data_dir: Path) -> Path:
    """Return where the service of a data folder says how to reach it."""
    return data_dir / BOOTSTRAP
