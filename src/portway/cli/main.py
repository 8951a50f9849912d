"""The `portway` program: its command tree, its help and its way of failing.

Commands are named in a table and imported only when they are called, so that `portway http`
never loads what only `portway serve` needs, and the other way round.
"""

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from portway.cli.common import spread
from portway.cli.output import colours, print_error
from portway.errors import ConfigError, PortwayError

COMMANDS = {
    "http": ("portway.cli.agent:http", "Put a local HTTP service on a public http or https URL."),
    "tcp": ("portway.cli.agent:tcp", "Put a local TCP service on a public address."),
    "tls": ("portway.cli.agent:tls", "Put a local TLS service on a public name, untouched."),
    "start": ("portway.cli.agent:start", "Start endpoints of the configuration file."),
    "tunnel": ("portway.cli.agent:tunnel", "Start a labelled tunnel of an edge."),
    "config": ("portway.cli.config:config", "Look after the agent's configuration file."),
    "diagnose": ("portway.cli.diagnose:diagnose", "Find out where the way to the service breaks."),
    "service": ("portway.cli.service:service", "Run the agent as a service of the system."),
    "serve": ("portway.cli.serve:serve", "Run the service that agents and visitors connect to."),
    "policy": ("portway.cli.policy:policy", "Check traffic policies, and try what they would do."),
    "api": ("portway.cli.api:api", "Call the control API of a service."),
    "admin": ("portway.cli.admin:admin", "Manage the accounts of a service and what they have."),
    "explain": ("portway.cli.explain:explain", "Say what an error's code means, and what to do."),
    "completion": ("portway.cli.completion:completion", "Print the completion script of a shell."),
    "update": ("portway.cli.about:update", "Say how this installation is updated."),
    "credits": ("portway.cli.about:credits_", "Name what portway is made of, and the licences."),
    "version": ("portway.cli.main:version", "Print the version."),
}
"""Command → (where it lives, its one line of help): help is shown without importing anything."""

_UNWRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
"""What a disk says that is full, or gone."""

HIDDEN = frozenset({"tunnel"})
"""Commands that work and are not in the help."""

EPILOG = """\b
Examples:
  portway serve                     run your own service on this machine
  portway http 8080                 https URL for http://localhost:8080
  portway http 8080 --url http://   the same, plain http
  portway tcp 22                    public TCP address for localhost:22
  portway tls 443 --url tls://a.example.com
  portway http file:///srv/site     the files of a folder
  portway start --all               everything that the configuration file names

An agent that is told nothing finds the service of the same user on the same machine.
Elsewhere say --connect-url, --connect-cas and --authtoken, or set
PORTWAY_CONNECT_URL, PORTWAY_CONNECT_CAS and PORTWAY_AUTHTOKEN."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, the program's own flags before or behind the command."""
        return super().parse_args(ctx, args if ctx.resilient_parsing else spread(self, ctx, args))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the named command; None when there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items() if name not in HIDDEN])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; for a wrong word say which commands there are."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            known = [name for name in COMMANDS if name not in HIDDEN]
            close = difflib.get_close_matches(args[0], known, 1)
            say = f"did you mean {close[0]}?" if close else f"commands: {', '.join(known)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {say}", ctx)
        return super().resolve_command(ctx, args)


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from portway import __version__

        click.echo(f"portway version {__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option("--config", metavar="FILE,…", help="Configuration files, merged from left to right.")
@click.option("--log", metavar="stdout|stderr|false|FILE", help="Where log lines go.")
@click.option("--log-format", metavar="term|logfmt|json", help="How they look.")
@click.option("--log-level", metavar="debug|info|…", help="The least that is told.")
@click.option("--metadata", metavar="TEXT", help="Text of your own for the session, at most 4096 bytes.")
@click.option(
    "-v",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the version.",
)
@click.pass_context
def cli(context: click.Context, **_: object) -> None:
    """portway puts a local service on the internet, through your own server.

    The flags below may stand before a command or behind it, but for --metadata: behind a command
    that is the endpoint's.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), color=context.color)


@click.command()
def version() -> None:
    """Print the version."""
    from portway import __version__

    click.echo(f"portway version {__version__}")


def main(args: Sequence[str] | None = None) -> None:
    """Run the program. Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted."""
    complete_streams()
    sys.exit(run(args))


def complete_streams() -> None:
    """Put /dev/null where the program was started with standard input, output or error closed.

    Else the first sockets get these numbers, which libuv does not survive, and others write into them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def run(args: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; every expected failure becomes a message."""
    try:
        colour = None if colours() else False
        result: Any = cli.main(args=args, prog_name="portway", standalone_mode=False, color=colour)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return 130
    except PortwayError as error:
        print_error(error)
        return 1
    except BrokenPipeError:
        return 0  # the reader of our output has gone; nothing is left to say
    except OSError as error:
        if error.errno not in _UNWRITTEN or error.filename is not None:
            raise
        print_error(ConfigError(f"the output cannot be written: {error.strerror}"))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is buffered would fail again at the end
        return 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
