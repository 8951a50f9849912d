"""The agent of a command: made from flags, variables and files, put online, watched until its end.

A flag goes before its variable, the variable before the files. On a terminal the status screen is shown;
otherwise one log line per happening is written. Ctrl+C and SIGTERM take the endpoints offline, let running
connections finish and end with 0; a second one cuts them.
"""

import asyncio
import contextlib
import math
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from portway.cli import remote
from portway.cli.dialer import options_of
from portway.cli.endpoints import COMMAND_LINE, check, put_online
from portway.cli.output import LogLines, PatientSink
from portway.errors import ConfigError, NotConnected, PortwayError

if TYPE_CHECKING:
    from portway.agent.agent import Agent
    from portway.agent.config.model import EndpointConfig, Settings
    from portway.agent.forwarder import EndpointForwarder
    from portway.agent.options import AgentKeywords
    from portway.agent.resume import Resumption
    from portway.cli.console import Screen
    from portway.cli.watch import Watcher

REDRAW: Final = 0.25
"""Seconds between two pictures of the status screen."""

DRAIN: Final = 10.0
"""Seconds that running connections may take when the agent is told to end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command is to do."""

    flags: Mapping[str, Any]
    settings: "Settings"
    endpoints: "Sequence[EndpointConfig]"
    idle: bool = False
    """Stay connected although there is no endpoint."""


def run(plan: Plan) -> None:
    """Serve until the end. Raises PortwayError."""
    from portway.agent.config.settings import without_effect
    from portway.net.loop import run as run_loop

    for endpoint in plan.endpoints:
        check(endpoint)
    for line in without_effect(plan.settings):
        click.echo(line, err=True)
    again = run_loop(_run(plan))
    if again is not None:
        remote.run_again(again)


def agent_options(
    flags: Mapping[str, Any], settings: "Settings", environ: Mapping[str, str] | None = None
) -> "AgentKeywords":
    """Return what an agent is told: the flag, else nothing where a variable says it, else the file's."""
    env = os.environ if environ is None else environ

    def said(name: str, *variables: str) -> str | None:
        if flags.get(name) is not None:
            return str(flags[name])
        if any(env.get(variable) for variable in variables):
            return None  # the agent looks there itself
        value = getattr(settings, name)
        return None if value is None else str(value)

    connect_url = said("connect_url", "PORTWAY_CONNECT_URL") or None
    proxy_url = said("proxy_url", "PORTWAY_PROXY_URL")
    if proxy_url and flags.get("proxy_url") is None and _proxy_of_the_world(connect_url, env):
        proxy_url = None
    options: AgentKeywords = {
        "authtoken": said("authtoken", "PORTWAY_AUTHTOKEN", "NGROK_AUTHTOKEN") or None,
        "connect_url": connect_url,
        "connect_cas": said("connect_cas", "PORTWAY_CONNECT_CAS"),
        "proxy_url": proxy_url,
        "metadata": str(flags.get("session_metadata") or settings.metadata or ""),
    }
    if settings.heartbeat_interval is not None:
        options["heartbeat_interval"] = settings.heartbeat_interval
    if settings.heartbeat_tolerance is not None:
        options["heartbeat_tolerance"] = settings.heartbeat_tolerance
    options.update(options_of(settings))
    return options


def _proxy_of_the_world(connect_url: str | None, env: Mapping[str, str]) -> bool:
    """Tell whether ``http_proxy`` counts for the service meant: it does not for one of this machine.

    Raises ConfigError when no service is known.
    """
    from portway.agent.discovery import discover, world_proxy
    from portway.agent.options import AgentOptions
    from portway.paths import bootstrap_file, default_data_dir

    service = discover(
        AgentOptions(connect_url=connect_url, proxy_url=""), env, bootstrap_file(default_data_dir(env))
    )
    return bool(world_proxy(env, service.host))


async def _run(plan: Plan) -> "Resumption | None":
    """Serve until the end; return what to begin again with if the service has asked for a restart."""
    from portway import Agent, __version__
    from portway.cli.status import Status
    from portway.cli.watch import Watcher
    from portway.net.tasks import Tasks

    async with contextlib.AsyncExitStack() as stack:
        screen_wanted = wants_screen(plan.flags, plan.settings, sys.stdout.isatty() and not _is_dumb())
        lines = _log_lines(plan, screen_wanted, stack)
        http = any(each.proto == "http" for each in plan.endpoints)
        watcher = Watcher(Status(version=__version__, http=http), lines)
        stack.enter_context(watcher.taking_records())
        managed = plan.settings.remote_management is not False
        commands = remote.Remote(watcher)
        options = agent_options(plan.flags, plan.settings)
        options["event_handlers"] = [watcher]
        options["rpc_handler"] = commands
        options["rpc_unsupported"] = commands.unsupported() if managed else remote.unmanaged()
        options["resume"] = remote.handed_on()
        agent = Agent(**options)
        tasks = await stack.enter_async_context(Tasks())
        watcher.status.connect_url = agent.connect_url
        watcher.status.qr = bool(plan.flags.get("qr"))
        if screen_wanted:
            screen = stack.enter_context(_screen(watcher, plan.settings.console_ui_color == "black"))
            tasks.start(_redraw(screen), name="redraw")
        try:
            async with agent, _stopped_by_signals(watcher):
                await agent.connect(timeout=math.inf)
                forwarders = await _all_online(agent, plan.endpoints, watcher)
                if watcher.status.qr and not screen_wanted:
                    _print_codes(forwarders)
                await _served(agent, forwarders, watcher, idle=plan.idle)
        except asyncio.CancelledError:
            watcher.ended()
        except NotConnected:
            if not commands.asked:
                raise
        if commands.asked:
            watcher.ended()
        return commands.resumption


async def _all_online(
    agent: "Agent", endpoints: "Sequence[EndpointConfig]", watcher: "Watcher"
) -> "list[EndpointForwarder]":
    """Put all online, or none: the session that then ends is no loss to tell of. Raises PortwayError."""
    try:
        return [await _online(agent, each, watcher) for each in endpoints]
    except PortwayError:
        watcher.stopping = True
        raise


async def _online(agent: "Agent", endpoint: "EndpointConfig", watcher: "Watcher") -> "EndpointForwarder":
    """Put an endpoint online, and say so."""
    forwarder = await put_online(agent, endpoint)
    where = " ".join(f"{key}={value}" for key, value in endpoint.labels.items()) or str(forwarder.url)
    watcher.started(endpoint.name or COMMAND_LINE, str(forwarder.upstream_url), where)
    return forwarder


def _print_codes(forwarders: "Sequence[EndpointForwarder]") -> None:
    from portway.cli.qr import code

    for forwarder in forwarders:
        sys.stderr.write("\n".join(["", *code(str(forwarder.url)), str(forwarder.url), ""]))
    sys.stderr.flush()


async def _served(
    agent: "Agent", forwarders: "Sequence[EndpointForwarder]", watcher: "Watcher", *, idle: bool
) -> None:
    """Wait until all endpoints have ended. When a signal ends them, let running connections finish."""
    try:
        for forwarder in forwarders:
            await forwarder.wait()
            if forwarder.error is not None and not watcher.stopping:
                watcher.lost(str(forwarder.url), forwarder.error)
        if idle:
            await watcher.over.wait()
    except asyncio.CancelledError:
        await agent.disconnect(drain=DRAIN)
        raise


async def _redraw(screen: "Screen") -> None:
    while True:
        await asyncio.sleep(REDRAW)
        screen.refresh()


def wants_screen(flags: Mapping[str, Any], settings: "Settings", terminal: bool) -> bool:
    """Tell whether the status screen is shown: on a terminal, unless log lines go there or it is off."""
    ui = settings.console_ui or "iftty"
    log = flags.get("log") or settings.log
    return terminal and ui != "false" and log not in ("stdout", "stderr")


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


def _log_lines(plan: Plan, screen: bool, stack: contextlib.AsyncExitStack) -> LogLines | None:
    """Choose where log lines go: with a screen nowhere unless told, else to standard output."""
    flags, settings = plan.flags, plan.settings
    target = flags.get("log") or settings.log
    if target is None or (target == "false" and not flags.get("log") and not screen):
        target = "false" if screen else "stdout"
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
    form = flags.get("log_format") or settings.log_format or "term"
    if form == "term" and not sink.isatty():
        form = "logfmt"
    level = flags.get("log_level") or settings.log_level or "info"
    return LogLines(sink, form, level, lambda: datetime.now(UTC))


def _screen(watcher: "Watcher", black: bool) -> "Screen":
    from portway.cli.console import Screen

    return Screen(watcher.status, watcher.clock, 1, black=black)


@contextlib.asynccontextmanager
async def _stopped_by_signals(watcher: "Watcher") -> AsyncGenerator[None]:
    """Let Ctrl+C, SIGTERM and a closed terminal cancel what is inside: it ends by its own clean-up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        watcher.stopping = True
        task.cancel()

    numbers = ending_signals()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end an agent in order: SIGHUP, too, but for one that ``nohup`` started."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    closed: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
    if closed is not None and signal.getsignal(closed) is not signal.SIG_IGN:
        numbers.append(closed)
    return numbers
