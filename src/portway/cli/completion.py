"""`portway completion`: the script that makes a shell complete commands, flags and names.

``--install`` writes it where the shell looks for the scripts of programs by itself: nothing is run when a
shell starts, and bash and fish need no line in their start files. zsh looks only where ``fpath`` says.
"""

import os
from collections.abc import Mapping
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

NEXT: Final = {
    "bash": "New shells have it, where the package bash-completion is installed.",
    "zsh": "Once, in .zshrc before compinit: fpath=({folder} $fpath)",
    "fish": "New shells have it.",
}


@click.command(
    epilog="\b\nFor good:\n  portway completion --install\nBy hand:\n  " + "\n  ".join(HOW.values())
)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.option("--install", is_flag=True, help="Write it where the shell finds it by itself.")
def completion(shell: str | None, install: bool) -> None:
    """Print the script that completes commands and flags in SHELL, your own unless one is named."""
    from click.shell_completion import get_completion_class

    from portway.cli.main import cli

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(chosen) if chosen in SHELLS else None
    if kind is None:
        raise ConfigError(f"name your shell: portway completion {'|'.join(SHELLS)}")
    script = _script(kind(cli, {}, "portway", "_PORTWAY_COMPLETE"))
    if not install:
        click.echo(script)
        return
    from portway.agent.config.edit import save

    file = place(chosen, os.environ)
    save(file, script + "\n")
    file.chmod(0o644)
    click.echo(f"Completion of {chosen} is in {file}\n{NEXT[chosen].format(folder=file.parent)}")


def place(shell: str, environ: Mapping[str, str]) -> Path:
    """Return the file in which a shell looks for this program's script."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if shell == "bash":
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
        return data / "bash-completion/completions/portway"
    if shell == "fish":
        return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish/completions/portway.fish"
    return Path(environ.get("ZDOTDIR") or home) / ".zfunc/_portway"


def _script(kind: "ShellComplete") -> str:
    """Return the script; that of bash without asking a bash for its version."""
    return kind.source_template % kind.source_vars()
