"""`portway config`: make, check, edit and upgrade the agent's configuration file."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from portway.errors import ConfigError, Error, PortwayError

if TYPE_CHECKING:
    from portway.agent.config.model import Config

EDITORS: Final = ("nano", "vim", "vi")
"""Looked for where neither VISUAL nor EDITOR says which."""

_FILE = click.option("--config", "path", metavar="FILE", help="The file.  [PORTWAY_CONFIG, NGROK_CONFIG]")


@click.group(
    epilog="""\b
Examples:
  portway config add-authtoken TOKEN
  portway config check
  portway config upgrade --dry-run --config ~/.config/ngrok/ngrok.yml""",
)
def config() -> None:
    """Look after the agent's configuration file. Comments in it survive every change."""


@config.command("add-authtoken")
@click.argument("token")
@_FILE
def add_authtoken(token: str, path: str | None) -> None:
    """Save an authtoken in the file."""
    _set(path, "authtoken", token, "Authtoken")


@config.command("add-api-key")
@click.argument("key")
@_FILE
def add_api_key(key: str, path: str | None) -> None:
    """Save the key of the control API in the file."""
    _set(path, "api_key", key, "API key")


@config.command("add-connect-url")
@click.argument("address", metavar="HOST:PORT")
@_FILE
def add_connect_url(address: str, path: str | None) -> None:
    """Save the address of the service in the file."""
    _set(path, "connect_url", _host_port(address), "Connect URL")


@config.command("add-server-addr", hidden=True)
@click.argument("address", metavar="HOST:PORT")
@_FILE
def add_server_addr(address: str, path: str | None) -> None:
    """Save the address of the service in the file: the older name of add-connect-url."""
    _set(path, "connect_url", _host_port(address), "Connect URL")


@config.command()
@click.option("--config", "paths", metavar="FILE,…", multiple=True, help="The files, merged in order.")
def check(paths: tuple[str, ...]) -> None:
    """Check the file; each problem is told with its line, column and path."""
    from portway.agent.config.files import chosen_paths, load

    files, named = chosen_paths(paths)
    if not named and not files[0].exists():
        click.echo(f"There is no configuration file at {files[0]}; none is needed.")
        return
    loaded = load(paths)
    check_endpoints(loaded)
    for file in files:
        click.echo(f"Valid configuration file at {file}")
    for line in _remarks(loaded):
        click.echo(click.style("note: ", fg="yellow") + line)


@config.command()
@_FILE
def edit(path: str | None) -> None:
    """Open the file in your editor ($VISUAL, $EDITOR), whether it is valid or not."""
    file = _one(path)
    if not file.exists():
        from portway.agent.config.edit import save

        save(file, TEMPLATE)
    command = [*editor(os.environ), str(file)]
    try:
        status = subprocess.run(command, check=False).returncode  # noqa: S603 - the user's own editor
    except OSError as error:
        raise ConfigError(f"{command[0]}: cannot be run: {error.strerror}; set EDITOR") from error
    if status:
        raise ConfigError(f"{command[0]} ended with {status}; {file} was left to it")
    from portway.agent.config.files import read_file

    read_file(file)
    click.echo(f"Valid configuration file at {file}")


TEMPLATE: Final = """\
version: 3
agent:
  # authtoken: …
  # connect_url: HOST:PORT
endpoints: []
#  - name: web
#    url: https://
#    upstream:
#      url: 8080
"""


@config.command()
@click.argument("version", type=int, required=False)
@_FILE
@click.option("--dry-run", is_flag=True, help="Show the new file, and write nothing.")
@click.option("--relocate", is_flag=True, help="Move it to where portway looks for it by itself.")
def upgrade(version: int | None, path: str | None, dry_run: bool, relocate: bool) -> None:
    """Bring the file to a newer version, the newest unless one is named.

    What comes out is checked before it takes the file's place; a backup stays beside it.
    """
    from portway.agent.config import edit as editing
    from portway.agent.config import files
    from portway.agent.config.document import content
    from portway.agent.config.relocate import rooted
    from portway.agent.config.upgrade import NEWEST
    from portway.agent.config.upgrade import upgrade as upgraded

    file, to = _one(path), version or NEWEST
    text = content(file)
    done = upgraded(text, str(file), to)
    target = files.default_path() if relocate else file
    for warning in done.warnings:
        click.echo(click.style("note: ", fg="yellow") + warning, err=True)
    if dry_run:
        click.echo(done.text, nl=False)
        return
    if target.resolve() != file.resolve() and target.exists():
        raise ConfigError(f"{target} exists; move it away first")
    if done.text == text and target.resolve() == file.resolve():
        click.echo(f"{file} has version {done.was} already")
        return
    try:
        files.check_text(done.text, str(file))
    except ConfigError as error:
        hint = f"{error}\nThat is what the new file would say (--dry-run shows it); {file} is as it was"
        raise ConfigError(hint) from error
    backup = _backup(file, done.was, text)
    moves = target.resolve() != file.resolve()
    new = rooted(done.text, str(file)) if moves else done.text
    editing.save(target, new)
    if done.text == text:
        click.echo(f"It has version {done.was} already; a copy of the old file is {backup}")
    elif done.was == max(to, done.was):
        click.echo(f"It says its version now, {done.was}; the old file is {backup}")
    else:
        click.echo(f"Upgraded from version {done.was} to {max(to, done.was)}; the old file is {backup}")
    if moves:
        file.unlink()
        click.echo(f"Moved to {target}")
    click.echo(new, nl=False)


def _backup(file: Path, version: int, text: str) -> Path:
    """Keep the text of a file beside it, under a name that nothing has."""
    from portway.agent.config.edit import save

    number = 0
    while True:
        backup = file.with_name(f"{file.name}.v{version}.bak{number or ''}")
        if not backup.exists():
            save(backup, text)
            backup.chmod(file.stat().st_mode & 0o777)
            return backup
        number += 1


def _set(path: str | None, name: str, value: str, what: str) -> None:
    from portway.agent.config.edit import set_setting

    if not value.strip():
        raise click.UsageError(f"the {what[0].lower()}{what[1:]} is empty")
    file = _one(path)
    set_setting(file, name, value.strip())
    click.echo(f"{what} saved to configuration file: {file}")


def _one(path: str | None) -> Path:
    """Return the one file that is meant. Raises ConfigError for several."""
    from portway.agent.config.files import chosen_paths

    files, _ = chosen_paths([path] if path else [])
    if len(files) > 1:
        raise ConfigError(f"one file at a time, not {len(files)}: name it by --config")
    return files[0]


def _host_port(address: str) -> str:
    from portway.agent.url import join_host_port, split_host_port

    if "://" in address:
        raise ConfigError(f"{address}: write HOST:PORT, without a scheme")
    host, port = split_host_port(address.strip(), "the address of the service")
    if port is None:
        raise ConfigError(f"{address}: the port is missing; write HOST:PORT")
    return join_host_port(host, port)


def editor(environ: Mapping[str, str], platform: str = sys.platform) -> list[str]:
    """Return the command of the user's editor. Raises ConfigError when there is none."""
    said = environ.get("VISUAL") or environ.get("EDITOR")
    if said:
        return shlex.split(said, posix=platform != "win32")
    if platform == "win32":
        return ["notepad"]
    for name in EDITORS:
        if found := shutil.which(name, path=environ.get("PATH")):
            return [found]
    raise ConfigError("no editor is found: set EDITOR to yours")


def check_endpoints(loaded: "Config") -> None:
    """Look at what only the start would find: upstreams, and files that are named. Raises ConfigError."""
    from portway.cli.endpoints import check as check_endpoint

    problems: list[str] = []
    for name, endpoints in loaded.endpoints.items():
        for endpoint in endpoints:
            try:
                check_endpoint(endpoint)
            except PortwayError as error:
                problems.append(
                    f"{endpoint.place or name}: {error.message if isinstance(error, Error) else error}"
                )
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _remarks(loaded: "Config") -> list[str]:
    """Return what is valid, and yet not what its writer may think."""
    from portway.agent.config.settings import without_effect

    return without_effect(loaded.settings)
