"""`portway update` and `portway credits`: how this installation is renewed, and what it is made of.

Neither asks anybody: nothing is looked up, and nothing is downloaded before the user says so.
"""

import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import click

from portway.errors import ConfigError

NAME: Final = "portway"


class Installation(NamedTuple):
    """How portway came here, and the command that renews it; empty where only a person can."""

    how: str
    command: tuple[str, ...]
    hint: str = ""


def installation(
    prefix: Path, executable: str, editable: Path | None, installer: str = "pip"
) -> Installation:
    """Tell how portway was installed, from where its files are."""
    parts = {part.lower() for part in prefix.parts}
    if editable is not None:
        return Installation(
            f"as a clone at {editable}", (), f"git -C {shlex.quote(str(editable))} pull && make run"
        )
    if {"pipx", "venvs"} <= parts:
        return Installation("by pipx", ("pipx", "upgrade", NAME))
    if {"uv", "tools"} <= parts:
        return Installation("by uv", ("uv", "tool", "upgrade", NAME))
    if prefix == Path("/usr"):
        return Installation("by the system's packages", (), "use the package manager that installed it")
    if installer == "uv":
        return Installation(f"by uv in {prefix}", ("uv", "pip", "install", "--upgrade", NAME))
    pip = (executable, "-m", "pip", "install", "--upgrade", NAME)
    return Installation(f"by pip in {prefix}", pip, "portway is in no package index yet: name the new wheel")


@click.command()
@click.option("--run", "really", is_flag=True, help="Run the command, instead of showing it.")
@click.option(
    "--channel", type=click.Choice(["stable", "beta", "unstable"]), hidden=True, help="Understood, no effect."
)
def update(really: bool, channel: str | None) -> None:
    """Say how this installation is updated. Nobody is asked whether there is a newer version."""
    found = installation(Path(sys.prefix), sys.executable, _editable(), _installer())
    click.echo(f"portway {metadata.version(NAME)} was installed {found.how}.")
    if channel:
        click.echo(f"There are no channels; {channel} was ignored.", err=True)
    if not found.command:
        if really:
            raise ConfigError(f"this installation is not updated by a command of its own: {found.hint}")
        click.echo(f"To update it: {found.hint}")
        return
    if not really:
        click.echo(f"To update it: {shlex.join(found.command)}" + (f"  ({found.hint})" if found.hint else ""))
        return
    try:
        status = subprocess.run(found.command, check=False).returncode  # noqa: S603 - shown by the same command
    except OSError as error:
        raise ConfigError(f"{found.command[0]}: cannot be run: {error.strerror}") from error
    if status:
        raise ConfigError(f"{shlex.join(found.command)} ended with {status}")


def _editable() -> Path | None:
    """Return the clone that this is run from, if it is."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").exists() else None


def _installer() -> str:
    return (metadata.distribution(NAME).read_text("INSTALLER") or "pip").strip()


@click.command("credits")
def credits_() -> None:
    """Name what portway is made of, and under which licences."""
    click.echo(f"portway {metadata.version(NAME)}, MIT licence\n")
    click.echo("portway is not affiliated with ngrok. It stands on:\n")
    for name, version, licence in sorted(_libraries()):
        click.echo(f"  {name:<18} {version:<12} {licence}")
    click.echo("\nThe text of each licence is in its package's folder; that of portway is in LICENSE.")


def _libraries() -> list[tuple[str, str, str]]:
    import re

    found: list[tuple[str, str, str]] = []
    for line in metadata.requires(NAME) or []:
        name = re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]
        try:
            info: Any = cast("Any", metadata.metadata(name))
        except metadata.PackageNotFoundError:
            continue  # of the server extra, or of another system
        licence = str(info.get("License-Expression") or info.get("License") or _classified(info))
        found.append((name, str(info["Version"]), (licence.splitlines() or ["see its package"])[0][:40]))
    return found


def _classified(info: Any) -> str:
    names = cast("list[str]", info.get_all("Classifier") or [])
    return next((each.rpartition(" :: ")[2] for each in names if each.startswith("License ::")), "")
