"""What the controller is told of the service that starts it: the ports that listeners really have, names."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from portway.control import files
from portway.control.service.settings import Settings
from portway.edge.binding import API_LABEL, public_url
from portway.errors import ConfigError

if TYPE_CHECKING:
    from portway.edge.ports import EdgeConfig

KEPT: Final = "settings.json"
"""File of a data folder: what the service that last used it was set up like."""

_log = logging.getLogger(__name__)


def facts_of(edge: "EdgeConfig") -> Settings:
    """Return what the control plane must know of a data plane whose listeners are open.

    The API's own URIs are https, except below ``.localhost``: there most programs do not know our
    authority, and nothing leaves the machine.
    """
    local = edge.domain == "localhost" or edge.domain.endswith(".localhost")
    return Settings(
        domain=edge.domain,
        region=edge.region,
        tcp_host=edge.tcp_host,
        tcp_ports=edge.tcp_ports,
        http_port=edge.http_port,
        https_port=edge.https_port,
        geoip=bool(edge.geoip),
        crs=bool(edge.crs),
        auth_host=edge.auth_host,
        policy_limits=edge.policy_limits,
        min_agent_version=edge.min_agent_version,
        api_url=str(public_url("http" if local else "https", f"{API_LABEL}.{edge.domain}", edge)),
    )


def written(settings: Settings) -> str:
    """Write settings as text for a command line: nothing in them is secret."""
    return msgspec.json.encode(settings, enc_hook=_plain).decode()


def read(text: str) -> Settings:
    """Read what ``written`` wrote. Raises ConfigError."""
    try:
        return msgspec.json.decode(text, type=Settings, dec_hook=_rich)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"--settings: {error}") from error


def keep(folder: Path, settings: Settings) -> None:
    """Keep settings in a data folder, for commands that work on its store without the service.

    Not being able to is logged; the service needs nothing of it.
    """
    try:
        files.replace(folder / KEPT, written(settings).encode() + b"\n")
    except OSError as error:
        _log.warning("%s: cannot be written: %s", folder / KEPT, error.strerror)


def kept(folder: Path) -> Settings:
    """Return the settings of the service that last used a data folder.

    Raises ConfigError when none has, or their file is damaged.
    """
    path = folder / KEPT
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings, dec_hook=_rich)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; start the service once with this data folder, to have its names"
        ) from error
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, range):
        return [value.start, value.stop]
    raise NotImplementedError(f"no JSON for {type(value).__name__}")


def _rich(kind: type, value: object) -> object:
    if kind is range and isinstance(value, list):
        return range(*cast("list[int]", value))
    raise ValueError(f"no {kind.__name__}")
