"""`portway http`, `portway tcp`, `portway tls`: one endpoint from the command line.

On a terminal the status screen is shown; otherwise one log line per happening is written.
Ctrl+C and SIGTERM take the endpoint offline, let running connections finish and end with 0; a second one
cuts them.
"""

import asyncio
import contextlib
import math
import os
import signal
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from portway.cli import remote
from portway.cli.output import FORMATS, LEVELS, LogLines, PatientSink
from portway.errors import ConfigError, NotConnected

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.resume import Resumption
    from portway.cli.console import Screen
    from portway.cli.watch import Watcher

REDRAW = 0.25
"""Seconds between two pictures of the status screen."""

DRAIN = 10.0
"""Seconds that running connections may take when the agent is told to end."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said, checked and in one piece."""

    proto: Literal["http", "tcp", "tls"]
    address: str
    url: str
    authtoken: str | None
    connect_url: str | None
    connect_cas: str | None
    proxy_url: str | None
    name: str
    description: str
    metadata: str
    pooling_enabled: bool
    upstream_proxy_protocol: str | None
    upstream_tls_verify: bool
    upstream_tls_verify_cas: Path | None
    log: str | None
    log_format: str
    log_level: str


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that http, tcp and tls have in common, in the order of their help."""
    options = [
        click.option("--url", default="", help="Public URL to ask for; empty means a random one."),
        click.option("--authtoken", metavar="TOKEN", help="Authtoken.  [PORTWAY_AUTHTOKEN, NGROK_AUTHTOKEN]"),
        click.option(
            "--connect-url", metavar="HOST:PORT", help="Address of the service.  [PORTWAY_CONNECT_URL]"
        ),
        click.option(
            "--connect-cas",
            metavar="FILE",
            help="CA certificates of the service: a PEM file, or `host` for those of this machine.  "
            "[PORTWAY_CONNECT_CAS]",
        ),
        click.option(
            "--proxy-url",
            metavar="URL",
            help="Proxy on the way to the service: http, https or socks5://[user:password@]host[:port]; "
            '"" means none.  [PORTWAY_PROXY_URL, http_proxy]',
        ),
        click.option("--name", default="", help="Name of the endpoint."),
        click.option("--description", default="", help="What the endpoint is for; at most 255 characters."),
        click.option("--metadata", default="", help="Text of your own, at most 4096 bytes."),
        click.option(
            "--pooling-enabled", is_flag=True, help="Share the URL with other endpoints that say so."
        ),
        click.option(
            "--upstream-proxy-protocol",
            type=click.Choice(["1", "2"]),
            help="Tell the upstream the visitor's address by a PROXY header.",
        ),
        click.option(
            "--upstream-tls-verify/--no-upstream-tls-verify",
            default=False,
            help="Verify the certificate of an https or tls upstream.",
        ),
        click.option(
            "--upstream-tls-verify-cas",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="CA certificates for that, a PEM file.",
        ),
        click.option("--log", metavar="stdout|stderr|false|FILE", help="Where log lines go."),
        click.option("--log-format", type=click.Choice(FORMATS), default="term", show_default=True),
        click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    short_help="Put a local HTTP service on a public URL.",
    epilog="""\b
Examples:
  portway http 8080
  portway http 8080 --url http://app.portway.localhost
  portway http https://192.168.1.7:8443 --upstream-tls-verify""",
)
@click.argument("address", default="80")
@_shared
def http(**values: object) -> None:
    """Put a local HTTP service on a public https (or http) URL.

    ADDRESS is a port, host:port, or an http:// or https:// URL. [default: 80]
    """
    _main("http", values)


@click.command(
    short_help="Put a local TCP service on a public address.",
    epilog="""\b
Examples:
  portway tcp 22
  portway tcp 192.168.1.2:5432 --url tcp://localhost:20011""",
)
@click.argument("address")
@_shared
@click.option("--remote-addr", default="", metavar="HOST:PORT", help="Deprecated: --url tcp://HOST:PORT.")
def tcp(remote_addr: str, **values: object) -> None:
    """Put any local TCP service on a public address.

    ADDRESS is a port, host:port, or a tcp:// or tls:// URL. A fixed public address must be reserved
    for your account.
    """
    if remote_addr:
        if values["url"]:
            raise click.UsageError("--remote-addr and --url name the same thing; give --url alone")
        click.echo(f"--remote-addr is deprecated; say --url tcp://{remote_addr}", err=True)
        values["url"] = f"tcp://{remote_addr}"
    _main("tcp", values)


@click.command(
    short_help="Put a local TLS service on a public name.",
    epilog="""\b
Examples:
  portway tls 443
  portway tls 8443 --url tls://db.portway.localhost""",
)
@click.argument("address")
@_shared
def tls(**values: object) -> None:
    """Put a local TLS service on a public name; the bytes pass through encrypted.

    ADDRESS is a port, host:port, or a tcp:// or tls:// URL.
    """
    _main("tls", values)


def _main(proto: str, values: dict[str, object]) -> None:
    from portway.net.loop import run

    options = Options(proto=proto, **values)  # pyright: ignore[reportArgumentType] -- click has checked them
    again = run(_run(options))
    if again is not None:
        remote.run_again(again)


async def _run(options: Options) -> "Resumption | None":
    """Serve until the end; return what to begin again with if the service has asked for a restart."""
    from portway import Agent, __version__
    from portway.cli.status import Status
    from portway.cli.watch import Watcher
    from portway.net.tasks import Tasks

    async with contextlib.AsyncExitStack() as stack:
        screen_wanted = options.log in (None, "false") and sys.stdout.isatty()
        lines = _log_lines(options, screen_wanted, stack)
        watcher = Watcher(Status(version=__version__, http=options.proto == "http"), lines)
        stack.enter_context(watcher.taking_records())
        commands = remote.Remote(watcher)
        agent = Agent(
            authtoken=options.authtoken,
            connect_url=options.connect_url,
            connect_cas=options.connect_cas,
            proxy_url=options.proxy_url,
            event_handlers=[watcher],
            rpc_handler=commands,
            rpc_unsupported=commands.unsupported(),
            resume=remote.handed_on(),
        )
        tasks = await stack.enter_async_context(Tasks())
        watcher.status.connect_url = agent.connect_url
        if screen_wanted:
            screen = stack.enter_context(_screen(watcher))
            tasks.start(_redraw(screen), name="redraw")
        try:
            async with agent, _stopped_by_signals(watcher):
                forwarder = await _online(agent, options)
                watcher.started(options.name, str(forwarder.upstream_url), str(forwarder.url))
                await _served(agent, forwarder)
        except asyncio.CancelledError:
            watcher.ended()
        except NotConnected:
            if not commands.asked:
                raise
        if commands.asked:
            watcher.ended()
        return commands.resumption


async def _served(agent: "Agent", forwarder: "EndpointForwarder") -> None:
    """Wait for the endpoint's end. When a signal ends it, let running connections finish; again, cut them."""
    try:
        await forwarder.wait()
    except asyncio.CancelledError:
        await agent.disconnect(drain=DRAIN)
        raise


async def _redraw(screen: "Screen") -> None:
    while True:
        await asyncio.sleep(REDRAW)
        screen.refresh()


async def _online(agent: "Agent", options: Options) -> "EndpointForwarder":
    """Connect, however long the service takes to be there, and put the endpoint online."""
    from portway import Upstream

    upstream = Upstream(
        options.address,
        proxy_protocol=options.upstream_proxy_protocol,
        tls_context=_upstream_tls(options),
    )
    await agent.connect(timeout=math.inf)
    return await agent.forward(
        upstream,
        url=options.url,
        proto=None if options.proto == "http" else options.proto,
        name=options.name,
        description=options.description,
        metadata=options.metadata,
        pooling_enabled=options.pooling_enabled,
    )


def _upstream_tls(options: Options) -> ssl.SSLContext:
    """Verification is off unless asked for: the upstream is the user's own machine."""
    if options.upstream_tls_verify or options.upstream_tls_verify_cas:
        cas = options.upstream_tls_verify_cas
        return ssl.create_default_context(cafile=str(cas) if cas else None)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _log_lines(options: Options, screen: bool, stack: contextlib.AsyncExitStack) -> LogLines | None:
    """Choose where log lines go: with a screen nowhere unless told, else to standard output."""
    target = options.log or ("false" if screen else "stdout")
    if target == "false":
        return None
    if target in ("stdout", "stderr"):
        descriptor = 1 if target == "stdout" else 2
    else:
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigError(f"--log: cannot write {target}: {error.strerror}") from error
        stack.callback(os.close, descriptor)
    sink = PatientSink(descriptor)
    stack.callback(sink.close)
    form = options.log_format
    if form == "term" and not sink.isatty():
        form = "logfmt"
    return LogLines(sink, form, options.log_level, lambda: datetime.now(UTC))


def _screen(watcher: "Watcher") -> "Screen":
    from portway.cli.console import Screen

    return Screen(watcher.status, watcher.clock, 1)


@contextlib.asynccontextmanager
async def _stopped_by_signals(watcher: "Watcher") -> AsyncGenerator[None]:
    """Let Ctrl+C and SIGTERM cancel what is inside, once: it ends in order, by its own clean-up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        watcher.stopping = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
