"""``portway serve``: its options come from the rows of the configuration, its help teaches."""

import sys
from itertools import groupby

import click

from portway.server import config

EXAMPLES = """\b
Examples:
  portway serve
      on this machine only: agents of the same user need to be told nothing
  portway serve --domain example.com \\
      --listen-agent :4443 --listen-http :80 --listen-https :443
      for the world; point example.com and *.example.com to this machine
  portway serve --config /etc/portway.yml
      options from a file, one a line: `listen_http: 127.0.0.1:7080`

A flag goes before its variable, the variable before the file."""


WIDEST = 40
"""Columns up to which an option's text stands beside it."""


class ServeCommand(click.Command):
    """Writes the options in groups, each with its default and its variable."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section a group."""
        for group, options in groupby(config.OPTIONS, key=lambda option: option.group):
            with formatter.section(group):
                rows = [(f"{each.flag} {each.metavar}", _text(each)) for each in options]
                formatter.write_dl(rows, col_max=WIDEST)
        with formatter.section("This command"):
            formatter.write_dl([
                ("--config FILE", f"YAML file of options. [variable: {config.CONFIG_VARIABLE}]"),
                ("-h, --help", "Show this and exit."),
            ])  # fmt: skip


def _text(option: config.Option[object]) -> str:
    return f"{option.help} [default: {option.shown_default}; variable: {option.variable}]"


def _joined(
    _context: click.Context, _parameter: click.Parameter, value: "str | tuple[str, ...] | None"
) -> str | None:
    """Make one text of a flag that was given several times."""
    if isinstance(value, tuple):
        return ",".join(value) if value else None
    return value


def _options() -> list[click.Parameter]:
    made: list[click.Parameter] = [
        click.Option(
            [option.flag, option.name],
            metavar=option.metavar,
            help=option.help,
            multiple=option.metavar.endswith(",…"),
            callback=_joined,
        )
        for option in config.OPTIONS
    ]
    return [*made, click.Option(["--config", "config_file"], metavar="FILE")]


def run(config_file: str | None, **flags: str | None) -> None:
    """Run the service until it is told to stop."""
    loaded = config.load(flags, config=config_file)
    # Only now: `portway serve --help` and a wrong option shall answer at once.
    from portway.server.service import serve as serve_until_stopped

    sys.exit(serve_until_stopped(loaded))


serve = ServeCommand(
    "serve",
    callback=run,
    params=_options(),
    help="Run the service that agents and visitors connect to.",
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
"""The command ``portway serve``."""
