"""`portway completion`: the script that makes a shell complete commands, flags and names."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from portway.errors import ConfigError

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS: Final = ("bash", "zsh", "fish")

HOW: Final = {
    "bash": 'eval "$(portway completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(portway completion zsh)"    # in ~/.zshrc, after compinit',
    "fish": "portway completion fish | source    # in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell: str | None) -> None:
    """Print the script that completes commands and flags in SHELL, your own unless one is named."""
    from click.shell_completion import get_completion_class

    from portway.cli.main import cli

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(chosen) if chosen in SHELLS else None
    if kind is None:
        raise ConfigError(f"name your shell: portway completion {'|'.join(SHELLS)}")
    click.echo(_script(kind(cli, {}, "portway", "_PORTWAY_COMPLETE")))


def _script(kind: "ShellComplete") -> str:
    """Return the script; that of bash without asking a bash for its version."""
    return kind.source_template % kind.source_vars()
