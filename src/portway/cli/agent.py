"""`portway http`, `tcp`, `tls`, `start` and `tunnel`: endpoints from the command line and from files."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import click

from portway.cli import flags
from portway.cli.flags import FILE, AgentCommand
from portway.errors import ConfigError, PortwayError

if TYPE_CHECKING:
    from portway.agent.config.model import Config, EndpointConfig

URL = flags.current("--url", "URL", "Public URL to ask for; empty means a random one.", default="")


@click.command(
    cls=AgentCommand,
    short_help="Put a local HTTP service on a public URL.",
    epilog="""\b
Examples:
  portway http 8080
  portway http 8080 --url http://app.portway.localhost
  portway http https://192.168.1.7:8443 --upstream-tls-verify
  portway http file:///srv/site
  portway http 8080 --traffic-policy-file policy.yml --qr""",
)
@click.argument("address", default="80")
@URL
@flags.ENDPOINT
@click.option("--upstream-protocol", type=click.Choice(["http1", "http2"]), help="What the upstream speaks.")
@flags.UPSTREAM_TLS
@flags.switch("inspect", "Record the traffic for inspection.", default=True)
@flags.SESSION
@flags.NAMES
@flags.HTTP_MODULES
def http(**values: Any) -> None:
    """Put a local HTTP service on a public https (or http) URL.

    ADDRESS is a port, host:port, an http:// or https:// URL, or file:///folder, whose files are
    served. [default: 80]
    """
    _main("http", values)


@click.command(
    cls=AgentCommand,
    short_help="Put a local TCP service on a public address.",
    epilog="""\b
Examples:
  portway tcp 22
  portway tcp 192.168.1.2:5432 --url tcp://localhost:20011
  portway tcp 22 --cidr-allow 192.0.2.0/24""",
)
@click.argument("address")
@URL
@flags.ENDPOINT
@flags.NETWORKS
@flags.UPSTREAM_TLS
@flags.SESSION
@flags.deprecated("--remote-addr", "--url tcp://HOST:PORT", metavar="HOST:PORT")
def tcp(**values: Any) -> None:
    """Put any local TCP service on a public address.

    ADDRESS is a port, host:port, or a tcp:// or tls:// URL. A fixed public address must be reserved
    for your account.
    """
    _main("tcp", values)


@click.command(
    cls=AgentCommand,
    short_help="Put a local TLS service on a public name.",
    epilog="""\b
Examples:
  portway tls 443
  portway tls 8443 --url tls://db.portway.localhost
  portway tls 5432 --url tls://db.portway.localhost --crt db.crt --key db.key""",
)
@click.argument("address")
@URL
@click.option("--crt", type=FILE, help="Certificate with which this agent ends visitors' TLS.")
@click.option("--key", type=FILE, help="Its private key.")
@click.option("--mutual-tls-cas", type=FILE, help="Let in visitors with a certificate of these CAs alone.")
@flags.ENDPOINT
@flags.NETWORKS
@flags.UPSTREAM_TLS
@flags.SESSION
@flags.NAMES
@flags.deprecated(
    "--terminate-at",
    "--crt and --key end TLS at the agent, a traffic policy at the service",
    type=click.Choice(["edge", "agent", "upstream"]),
)
def tls(**values: Any) -> None:
    """Put a local TLS service on a public name; the bytes pass through encrypted.

    ADDRESS is a port, host:port, or a tcp:// or tls:// URL. With --crt and --key this agent ends TLS,
    and the upstream gets plain bytes (tls:// encrypts them again).
    """
    _main("tls", values)


def complete_names(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names of the configuration files' endpoints that begin so, for the shell's completion."""
    from portway.agent.config.files import load

    try:
        known = load(context.params.get("config") or ()).endpoints
    except PortwayError:
        return []  # a shell cannot show what is wrong with a file
    said: tuple[str, ...] = context.params.get("names") or ()
    return [name for name in known if name.startswith(begun) and name not in said]


@click.command(
    cls=AgentCommand,
    short_help="Start endpoints of the configuration file.",
    epilog="""\b
Examples:
  portway start shop db
  portway start --all
  portway start --all --config ~/.config/ngrok/ngrok.yml""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_names)
@click.option("--all", "everything", is_flag=True, help="Start everything that the files name.")
@click.option("--none", "nothing", is_flag=True, help="Connect, and start nothing.")
@flags.switch("qr", "Show the URLs as QR codes, too.")
@flags.current("--metadata", "TEXT", "Text of your own for the session, at most 4096 bytes.")
@flags.SESSION
def start(names: tuple[str, ...], everything: bool, nothing: bool, **values: Any) -> None:
    """Start endpoints and tunnels that the configuration files name."""
    from portway.agent.config.files import load
    from portway.cli import session

    if bool(names) + everything + nothing != 1:
        raise click.UsageError("say which to start: NAME…, --all, or --none")
    config = load(values["config"])
    chosen = [] if nothing else pick(config, tuple(config.endpoints) if everything else names)
    session.run(session.Plan(_for_session(values), config.settings, chosen, idle=nothing))


def pick(config: "Config", names: tuple[str, ...]) -> "list[EndpointConfig]":
    """Return the endpoints of these names. Raises ConfigError, naming those that there are."""
    known = ", ".join(sorted(config.endpoints)) or "none"
    where = ", ".join(map(str, config.files))
    if not where:
        raise ConfigError("there is no configuration file; `portway config check` says where it would be")
    for name in names:
        if name not in config.endpoints:
            raise ConfigError(f"there is no endpoint {name!r} in {where}; there are: {known}")
    if not names:
        raise ConfigError(f"there is nothing to start in {where}")
    return [endpoint for name in dict.fromkeys(names) for endpoint in config.endpoints[name]]


@click.command(cls=AgentCommand, hidden=True, short_help="Start a labelled tunnel of an edge.")
@click.argument("address")
@flags.current("--label", "KEY=VALUE", "Label of the edge's backend; may be repeated.", multiple=True)
@flags.switch("inspect", "Record the traffic for inspection.", default=True)
@click.option("--crt", type=FILE, help="Certificate with which this agent ends visitors' TLS.")
@click.option("--key", type=FILE, help="Its private key.")
@flags.current("--metadata", "TEXT", "Text of your own, at most 4096 bytes.")
@click.option("--upstream-protocol", type=click.Choice(["http1", "http2"]), help="What the upstream speaks.")
@flags.deprecated("--app-protocol", "--upstream-protocol", type=click.Choice(["http1", "http2"]))
@flags.SESSION
def tunnel(**values: Any) -> None:
    """Start a labelled tunnel: an edge of the service, whose backend has its labels, sends it visitors."""
    from portway.agent.config.files import load
    from portway.agent.config.version2 import labelled
    from portway.cli import session

    config = load(values["config"])
    endpoint = labelled("", {**values, "addr": values["address"], "labels": values["label"]})
    session.run(session.Plan(_for_session(values, root=True), config.settings, [endpoint]))


def _main(proto: Literal["http", "tcp", "tls"], values: Mapping[str, Any]) -> None:
    """Run one endpoint of the command line."""
    from portway.agent.config.files import load
    from portway.cli import session
    from portway.cli.endpoints import from_flags

    config = load(values["config"])
    session.run(session.Plan(_for_session(values, root=True), config.settings, from_flags(proto, values)))


def _for_session(values: Mapping[str, Any], *, root: bool = False) -> dict[str, Any]:
    """Return the flags with the session's metadata by its own name; ``root``: the program's alone."""
    said = click.get_current_context().find_root().params.get("metadata")
    own = None if root else values.get("metadata")
    return {**values, "session_metadata": own or said}
