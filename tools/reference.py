"""Write docs/reference/cli.md: the help of every command, as the program prints it.

`--check` writes nothing and fails when the page is not what it would write.
"""

import sys
from pathlib import Path
from typing import Any

import click

from portway.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"
WIDTH = 100

HEAD = """\
# The command line

Written by `tools/reference.py` from the program's own help; do not edit.
"""


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit status."""
    text = HEAD + "".join(_sections(cli, "portway", None))
    if "--check" not in arguments:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text)
        print(f"{PAGE.relative_to(ROOT)} written")
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.relative_to(ROOT)} is not up to date; run: make reference")
        return 1
    return 0


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """Return the section of a command and those of its subcommands."""
    settings: dict[str, Any] = dict(command.context_settings)
    settings.update(terminal_width=WIDTH, max_content_width=WIDTH)
    with click.Context(command, parent, info_name=name.split()[-1], **settings) as context:
        lines = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        sections = [f"\n## {name}\n\n```text\n{lines}\n```\n"]
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                found = command.get_command(context, below)
                if found is not None and not found.hidden:
                    sections += _sections(found, f"{name} {below}", context)
    return sections


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
