"""Write what is generated from the program: the help of every command, the codes, and the API's document.

docs/reference/cli.md is the help as the program prints it; src/portway/cli/openapi.json is the control
API's own OpenAPI document, from which `portway api` makes its commands; docs/reference/sdk.md is written by
`sdk_reference.py`. `--check` writes nothing and fails when a file is not what it would write.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click
import sdk_reference

from portway.cli.explain import catalogue
from portway.cli.main import cli
from portway.control.api.app import make_routes
from portway.control.api.openapi import document

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"
ERRORS = ROOT / "docs" / "reference" / "errors.md"
DOCUMENT = ROOT / "src" / "portway" / "cli" / "openapi.json"
WIDTH = 100

HEAD = """\
# The command line

Written by `tools/reference.py` from the program's own help; do not edit.
"""


ERRORS_HEAD = """\
# Codes of errors

Written by `tools/reference.py` from the texts of `portway explain`; do not edit.

What the service refuses has a code: agents and `portway` print it, SSH clients read it in their terminal,
the API has it as `error_code`, and pages for visitors carry it in the field `ngrok-error-code`. The numbers
are those of ngrok, so that what knows them goes on working. `portway explain 107` says what this page says.
"""


def main(arguments: list[str]) -> int:
    """Write or check the files; return the exit status."""
    # The commands below `portway api` come from the document, so that is written first.
    api = json.dumps(document(make_routes()), indent=1, sort_keys=True) + "\n"
    if not _same(DOCUMENT, api, arguments):
        return 1
    if not _same(PAGE, HEAD + "".join(_sections(cli, "portway", None)), arguments):
        return 1
    if not _same(ERRORS, _errors(), arguments):
        return 1
    return sdk_reference.main(arguments)


def _same(file: Path, text: str, arguments: list[str]) -> bool:
    """Write a file, or with --check say whether it is what would be written."""
    name = file.relative_to(ROOT)
    if "--check" not in arguments:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(f"{name} written")
    elif not file.exists() or file.read_text() != text:
        print(f"{name} is not up to date; run: make reference")
        return False
    return True


def _errors() -> str:
    """Write the page of all codes, a table a group."""
    lines, group = [ERRORS_HEAD], ""
    for each in catalogue().values():
        if each.group != group:
            group = each.group
            lines.append(f"\n## {group}\n\n| code | meaning | what to do |\n|---|---|---|\n")
        advice = each.advice.replace("|", "\\|")
        anchor = f'<a id="err_ngrok_{each.code}"></a>{each.code}'
        lines.append(f"| {anchor} | {each.meaning.replace('|', chr(92) + '|')} | {advice} |\n")
    return "".join(lines)


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
