"""The files together: where they are looked for, read by their version, merged from left to right.

The last file that says a setting wins, and so does the last list, ``endpoints`` among them; ``tunnels``
are merged by name. Files of one command have one version.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from portway.agent.config import settings, version2, version3
from portway.agent.config.document import Problems, parse, read
from portway.agent.config.model import Config, EndpointConfig, Settings
from portway.agent.config.values import Reader, fields
from portway.codec.document import Node
from portway.errors import ConfigError

VERSIONS: Final = (2, 3)
VARIABLES: Final = ("PORTWAY_CONFIG", "NGROK_CONFIG")
FILE_NAME: Final = "portway.yml"
_TOP_OF_3: Final[tuple[str, ...]] = ("version", "agent", "endpoints", "tunnels")


def default_path(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return where the file of this user is; it need not exist. ngrok's own file is never meant.

    ``~/.config/portway/portway.yml`` (``XDG_CONFIG_HOME`` is followed), ``~/Library/Application
    Support/portway/portway.yml`` on macOS, ``%LocalAppData%\\portway\\portway.yml`` on Windows.
    """
    env = os.environ if environ is None else environ
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    if platform == "darwin":
        base = home / "Library" / "Application Support"
    elif platform == "win32":
        base = Path(env["LOCALAPPDATA"]) if env.get("LOCALAPPDATA") else home / "AppData" / "Local"
    else:
        named = Path(env.get("XDG_CONFIG_HOME", ""))
        base = named if named.is_absolute() else home / ".config"
    return base / "portway" / FILE_NAME


def chosen_paths(given: Sequence[str], environ: Mapping[str, str] | None = None) -> tuple[list[Path], bool]:
    """Return the files to read, and whether somebody has named them: named ones must exist.

    ``given`` are the values of ``--config``, each a path or several with commas between them; else
    ``PORTWAY_CONFIG`` or ``NGROK_CONFIG`` of the environment; else the user's own file.
    """
    env = os.environ if environ is None else environ
    named = [part for value in given for part in value.split(",") if part]
    if not named:
        said = next((env[name] for name in VARIABLES if env.get(name)), "")
        named = [part for part in said.split(",") if part]
    if named:
        return [Path(part).expanduser() for part in named], True
    return [default_path(env)], False


def load(given: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Config:
    """Read and merge the files. Raises ConfigError with file:line:column and path of each problem."""
    paths, named = chosen_paths(given, environ)
    if not named and not paths[0].exists():
        return Config(3, Settings(), {})
    return merge([read_file(path) for path in paths], tuple(paths))


@dataclass(slots=True)
class FileContent:
    """What one file says."""

    root: Node
    version: int
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    endpoints: "dict[str, tuple[EndpointConfig, ...]] | None" = None
    tunnels: dict[str, tuple[EndpointConfig, ...]] = field(
        default_factory=dict[str, tuple[EndpointConfig, ...]]
    )


def read_file(path: Path) -> FileContent:
    """Read and check one file. Raises ConfigError."""
    return _checked(read(path))


def check_text(text: str, file: str) -> None:
    """Check a text that shall become a file. Raises ConfigError, its places told as of that file."""
    _checked(parse(text, file))


def _checked(root: Node) -> FileContent:
    problems = Problems()
    content = FileContent(root, version_of(root))
    if content.version == 2:
        _read_2(root, content, problems)
    else:
        _read_3(root, content, problems)
    problems.check()
    return content


def version_of(root: Node) -> int:
    """Return the version that a file says it has. Raises ConfigError."""
    said = root.entries.get("version")
    if said is None or said.is_null:
        raise ConfigError(
            f"{root.source}:1:1 version: missing; write `version: 3` first, or run `portway config upgrade`"
        )
    if said.text not in {str(each) for each in VERSIONS}:
        shown = said.text[:20] if said.kind == "scalar" else f"a {said.kind}"
        raise ConfigError(f"{said.place}: version {shown} is unknown; this program reads 2 and 3")
    return int(said.text)


def merge(contents: Sequence[FileContent], paths: tuple[Path, ...] = ()) -> Config:
    """Put files together, the last one wins. Raises ConfigError when their versions differ."""
    first = contents[0]
    said: dict[str, Any] = {}
    endpoints: dict[str, tuple[EndpointConfig, ...]] = {}
    tunnels: dict[str, tuple[EndpointConfig, ...]] = {}
    for content in contents:
        if content.version != first.version:
            raise ConfigError(
                f"{content.root.source} has version {content.version}, {first.root.source} version "
                f"{first.version}: files that are merged have one version; see `portway config upgrade`"
            )
        said |= content.settings
        tunnels |= content.tunnels
        endpoints = endpoints if content.endpoints is None else content.endpoints
    both = endpoints.keys() & tunnels.keys()
    if both:
        raise ConfigError(f"{min(both)!r} is the name of an endpoint and of a tunnel; names are unique")
    return Config(first.version, Settings(**said), tunnels | endpoints, paths)


def _read_2(root: Node, content: FileContent, problems: Problems) -> None:
    known = {**settings.VERSION_2, "version": _skip, "tunnels": _skip}
    said = fields(root, known, problems, settings.OLD_NAMES_2 | _strays(root))
    content.settings = settings.renamed(said)
    _read_tunnels(root, content, problems)


def _read_3(root: Node, content: FileContent, problems: Problems) -> None:
    known: dict[str, Reader] = dict.fromkeys(_TOP_OF_3, _skip)
    hints = dict.fromkeys(settings.VERSION_3, "in version 3 it stands under agent:")
    fields(root, known, problems, hints | _strays(root))
    if "agent" in root.entries:
        agent = root.entries["agent"]
        content.settings = fields(agent, settings.VERSION_3, problems, settings.OLD_NAMES_3)
    if "endpoints" in root.entries:
        content.endpoints = version3.read_endpoints(root.entries["endpoints"], problems)
    _read_tunnels(root, content, problems)


def _strays(root: Node) -> dict[str, str]:
    """Return hints for tunnels that stand where settings do, a level too far to the left."""
    hint = "a tunnel is indented below tunnels:"
    return {name: hint for name, node in root.entries.items() if {"addr", "proto"} & node.entries.keys()}


def _read_tunnels(root: Node, content: FileContent, problems: Problems) -> None:
    node = root.entries.get("tunnels")
    if node is None or node.is_null:
        return
    if node.kind != "map":
        problems.add(node, "a map is wanted: each tunnel has its name as key")
        return
    for name, each in node.entries.items():
        content.tunnels[name] = version2.read_tunnel(name, each, problems)


def _skip(node: Node, problems: Problems) -> None:
    """Leave a part to its own reader."""
