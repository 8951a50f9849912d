"""`portway service`: the agent, run by the system from its start on, and again after a crash."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from portway.cli import units
from portway.errors import ConfigError

_SHELLS: Final = ("PORTWAY_CONNECT_URL", "PORTWAY_CONNECT_CAS", "PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN")
"""Variables that an agent in a shell heeds, and one that the system starts does not have."""


def _runner() -> units.Unit:
    """Return the unit that is installed; without one that of the machine. Raises ConfigError."""
    for user in (True, False):
        found = _unit((), user=user)
        if found.path.exists():
            return found
    raise ConfigError("the service is not installed: portway service install --config FILE")


def _unit(files: Sequence[Path], *, user: bool) -> units.Unit:
    # Log lines go where the files say, else to standard output, which the system keeps.
    command = (sys.executable, "-m", "portway.cli.main", "start", "--all", "--config")
    named = ",".join(str(file.expanduser().resolve()) for file in files)
    return units.unit(units.system_of(sys.platform), (*command, named), user=user, home=Path.home())


@click.group(
    epilog="""\b
Examples:
  portway service install --config /etc/portway/agent.yml
  portway service install --user
  portway service start
  portway service status""",
)
def service() -> None:
    """Run the agent as a service of the system: at its start, and again after a crash."""


@service.command()
@click.option(
    "--config", "paths", metavar="FILE,…", multiple=True, help="Configuration files; checked first."
)
@click.option("--user", is_flag=True, help="For this user alone; needs no rights of an administrator.")
@click.option("--dry-run", is_flag=True, help="Show the file and the commands, and do nothing.")
def install(paths: tuple[str, ...], user: bool, dry_run: bool) -> None:
    """Install a service that starts everything in the configuration files.

    Neither the files nor this program may be moved afterwards.
    """
    from portway.agent.config.edit import save
    from portway.agent.config.files import chosen_paths, load
    from portway.cli.config import check_endpoints

    files, named = chosen_paths(paths)
    if not named and not files[0].exists():
        raise ConfigError(f"name the configuration: --config FILE (there is none at {files[0]})")
    loaded = load(paths)
    if not loaded.endpoints:
        raise ConfigError(f"there is nothing to start in {', '.join(map(str, files))}")
    check_endpoints(loaded)
    _check_rights(user=user)
    if unseen := [name for name in _SHELLS if os.environ.get(name)]:
        click.echo(f"note: the service will not see {', '.join(unseen)} of this shell; the file must say it")
    made = _unit(files, user=user)
    if dry_run:
        click.echo(f"# {made.path}\n{made.text}")
        for command in made.install:
            click.echo(f"# {shlex.join(command)}")
        return
    new = not made.path.exists()
    save(made.path, made.text)
    made.path.chmod(0o644)
    try:
        for command in made.install:
            _run(command)
    except ConfigError:
        if new:  # what the system does not know is not installed
            made.path.unlink(missing_ok=True)
        raise
    click.echo(f"Installed: {made.path}\nStart it: portway service start")


@service.command()
def uninstall() -> None:
    """Stop the service and forget it."""
    made = _runner()
    for command in made.uninstall:
        _run(command, must=False)
    made.path.unlink(missing_ok=True)
    click.echo(f"Removed: {made.path}")


@service.command()
def start() -> None:
    """Start the service."""
    _run(_runner().start)


@service.command()
def stop() -> None:
    """Stop the service; running connections may finish."""
    _run(_runner().stop)


@service.command()
def restart() -> None:
    """Stop the service and start it again."""
    for command in _runner().restart:
        _run(command)


@service.command()
def status() -> int:
    """Show whether the service runs."""
    return _run(_runner().status, must=False)


def _check_rights(*, user: bool) -> None:
    """Raise ConfigError where a service for the machine cannot be installed."""
    if not user and hasattr(os, "geteuid") and os.geteuid() != 0:
        raise ConfigError("a service for the machine needs an administrator: use sudo, or --user for yours")


def _run(command: Sequence[str], *, must: bool = True) -> int:
    """Run a command of the system; return its status. Raises ConfigError when it fails."""
    try:
        status = subprocess.run(command, check=False).returncode  # noqa: S603 - made here, by no one else
    except OSError as error:
        raise ConfigError(f"{command[0]}: cannot be run: {error.strerror}") from error
    if must and status:
        raise ConfigError(f"{shlex.join(command)} ended with {status}")
    return status
