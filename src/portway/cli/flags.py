"""Flags of the agent's commands: how they are written, which are current, and which are only understood.

A deprecated flag works, is not in the help, and says what replaces it. A boolean flag may be written bare,
``--no-…`` or ``=true`` and ``=false``. ``-authtoken`` is no flag, but a long one with a hyphen too few.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from portway.cli.output import FORMATS, LEVELS

POLICY: Final = "--traffic-policy-file"

Decorator = Callable[[Callable[..., object]], Callable[..., object]]

_SINGLE_HYPHEN: Final = re.compile(r"-([A-Za-z][\w-]+)(=.*)?", re.DOTALL)
_BOOLEAN: Final = re.compile(r"(--[\w-]+)=(.*)", re.DOTALL)
_ON: Final = frozenset({"true", "1"})
_OFF: Final = frozenset({"false", "0"})


class AgentCommand(click.Command):
    """A command whose flags are read as the agent's users know them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. Raises UsageError, with what was perhaps meant."""
        given = [part for each in args for part in self._boolean(each)]
        try:
            return super().parse_args(ctx, given)
        except click.UsageError as error:
            long = self._single_hyphen(args)
            if long is None:
                raise
            raise click.UsageError(f"-{long}: long flags have two hyphens, --{long}", ctx) from error

    def _boolean(self, argument: str) -> list[str]:
        """Write ``--flag=false`` as ``--no-flag``, or as nothing where the flag is off anyway.

        Raises UsageError for another value.
        """
        found = _BOOLEAN.fullmatch(argument)
        if found is None:
            return [argument]
        for option in self.params:
            if isinstance(option, click.Option) and option.is_flag and found[1] in option.opts:
                value = found[2].lower()
                if value not in _ON | _OFF:
                    raise click.UsageError(f"{found[1]} is true or false, not {found[2]!r}")
                return [found[1]] if value in _ON else option.secondary_opts[:1]
        return [argument]

    def _single_hyphen(self, args: Sequence[str]) -> str | None:
        """Return the long flag that was written with one hyphen."""
        known = {name for each in self.params for name in (*each.opts, *each.secondary_opts)}
        for argument in args:
            if argument == "--":
                return None
            found = _SINGLE_HYPHEN.fullmatch(argument)
            if found and f"--{found[1]}" in known:
                return found[1]
        return None


def current(name: str, metavar: str, text: str, **more: Any) -> Decorator:
    """Make a flag with a value."""
    return click.option(name, metavar=metavar, help=text, **more)


def switch(name: str, text: str, *, default: bool = False) -> Decorator:
    """Make a flag that is on or off; what is off by default shows its bare form alone."""
    return click.option(f"--{name}/--no-{name}", default=default, help=text)


def deprecated(name: str, instead: str, **more: Any) -> Decorator:
    """Make a flag that works, warns and is not in the help."""

    def warn(context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        if value not in (None, (), False) and not context.resilient_parsing:
            click.echo(f"{name} is deprecated; {_advice(instead)}", err=True)
        return value

    return click.option(name, hidden=True, callback=warn, **more)


def _advice(instead: str) -> str:
    if instead == POLICY:
        return f"write a traffic policy and say {POLICY}"
    return f"say {instead}" if instead.startswith("-") else instead


def together(*decorators: Decorator) -> Decorator:
    """Add several flags, in the order of their help."""

    def add(command: Callable[..., object]) -> Callable[..., object]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return add


FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)

CONFIG: Final = current(
    "--config",
    "FILE,…",
    "Configuration files, merged from left to right.  [PORTWAY_CONFIG, NGROK_CONFIG]",
    multiple=True,
)

LOG: Final = together(
    current("--log", "stdout|stderr|false|FILE", "Where log lines go."),
    click.option("--log-format", type=click.Choice(FORMATS), help="How they look.  [default: term]"),
    click.option("--log-level", type=click.Choice(LEVELS), help="The least that is told.  [default: info]"),
)

SESSION: Final = together(
    current("--authtoken", "TOKEN", "Authtoken.  [PORTWAY_AUTHTOKEN, NGROK_AUTHTOKEN]"),
    current("--connect-url", "HOST:PORT", "Address of the service.  [PORTWAY_CONNECT_URL]"),
    current(
        "--connect-cas",
        "FILE",
        "CA certificates of the service: a PEM file, or `host` for those of this machine.  "
        "[PORTWAY_CONNECT_CAS]",
    ),
    current(
        "--proxy-url",
        "URL",
        "Proxy on the way to the service: http, https or socks5://[user:password@]host[:port]; "
        '"" means none.  [PORTWAY_PROXY_URL, http_proxy]',
    ),
    CONFIG,
    LOG,
    deprecated("--region", "it has no effect: --connect-url says where to connect"),
)
"""Flags of every command that makes a session."""

ENDPOINT: Final = together(
    current("--name", "NAME", "Name of the endpoint."),
    current("--description", "TEXT", "What the endpoint is for; at most 255 characters."),
    current("--metadata", "TEXT", "Text of your own, at most 4096 bytes."),
    click.option(
        "--binding",
        type=click.Choice(["public", "internal", "kubernetes"]),
        help="Who may reach it; names below .internal are internal.",
    ),
    switch("pooling-enabled", "Share the URL with other endpoints that say so."),
    click.option("--traffic-policy-file", type=FILE, help="Traffic policy, YAML or JSON."),
    current("--traffic-policy-url", "URL", "The same, fetched when the agent starts."),
    click.option(
        "--upstream-proxy-protocol",
        type=click.Choice(["1", "2"]),
        help="Tell the upstream the visitor's address by a PROXY header.",
    ),
    switch("qr", "Show the URL as a QR code, too."),
    deprecated("--policy-file", POLICY, type=FILE),
    deprecated("--proxy-proto", "--upstream-proxy-protocol", type=click.Choice(["1", "2"])),
)
"""Flags of every command that makes one endpoint."""

UPSTREAM_TLS: Final = together(
    switch("upstream-tls-verify", "Verify the certificate of an https or tls upstream."),
    click.option("--upstream-tls-verify-cas", type=FILE, help="CA certificates for that, a PEM file."),
)

NAMES: Final = together(
    deprecated("--domain", "--url"),
    deprecated("--hostname", "--url"),
    deprecated("--subdomain", "--url"),
)

NETWORKS: Final = together(
    current("--cidr-allow", "CIDR", "Let in visitors of these networks alone.", multiple=True),
    current("--cidr-deny", "CIDR", "… but not those of these.", multiple=True),
)

HTTP_MODULES: Final = together(
    deprecated("--scheme", "--url", multiple=True),
    deprecated("--app-protocol", "--upstream-protocol", type=click.Choice(["http1", "http2"])),
    deprecated("--basic-auth", POLICY, multiple=True),
    deprecated("--cidr-allow", POLICY, multiple=True),
    deprecated("--cidr-deny", POLICY, multiple=True),
    deprecated("--circuit-breaker", POLICY, type=float),
    deprecated("--compression", POLICY, is_flag=True),
    deprecated("--host-header", POLICY),
    deprecated("--mutual-tls-cas", POLICY, type=FILE),
    deprecated("--oauth", POLICY),
    deprecated("--oauth-allow-domain", POLICY, multiple=True),
    deprecated("--oauth-allow-email", POLICY, multiple=True),
    deprecated("--oauth-client-id", POLICY),
    deprecated("--oauth-client-secret", POLICY),
    deprecated("--oauth-scope", POLICY, multiple=True),
    deprecated("--oidc", POLICY),
    deprecated("--oidc-client-id", POLICY),
    deprecated("--oidc-client-secret", POLICY),
    deprecated("--oidc-scope", POLICY, multiple=True),
    deprecated("--request-header-add", POLICY, multiple=True),
    deprecated("--request-header-remove", POLICY, multiple=True),
    deprecated("--response-header-add", POLICY, multiple=True),
    deprecated("--response-header-remove", POLICY, multiple=True),
    deprecated("--ua-filter-allow", POLICY, multiple=True),
    deprecated("--ua-filter-deny", POLICY, multiple=True),
    deprecated("--verify-webhook", POLICY),
    deprecated("--verify-webhook-secret", POLICY),
    deprecated("--websocket-tcp-converter", "no policy replaces it", is_flag=True),
)
