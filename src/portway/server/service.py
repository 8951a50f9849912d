"""One whole service: data folder, data plane, controller, log; from the first listener to the end.

Order, and why: the folder is locked and an old ``bootstrap.json`` put aside before the first bind;
listeners come next, before anything slow, so that agents that try again find the service within a
second; then the certificate and the controller. When all of them answer, ``bootstrap.json`` says so.
At the end the data plane drains, then the controller stops, as names are still written down; agents are
told last, because some of them try again at once and then not for two minutes.
"""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from msgspec.structs import replace

from portway.edge.ports import CertificatePem
from portway.edge.ssh_limits import SshSetup
from portway.errors import Error
from portway.net.local import LocalSocket
from portway.net.loop import run
from portway.server import bootstrap, logs, ssh_host_key
from portway.server.bootstrap import DataFolder, Ports
from portway.server.config import ServeConfig
from portway.server.directory import Directory
from portway.server.event_feed import PENDING, EventFeed
from portway.server.facts import facts_of
from portway.server.identity_link import IdentityLink
from portway.server.link import ControllerLink, Secrets
from portway.server.watching import Watching
from portway.server.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from portway.control.certificates.seal import Seal

API_SOCKET: Final = "api.sock"
"""Where the API answers, in the data folder: for the edge, and for nobody else."""

RETRY: Final = 0.2
"""Seconds until a controller that died while the service started is asked again."""

_log = logging.getLogger(__name__)


def serve(config: ServeConfig, out: TextIO | None = None) -> int:
    """Run a service until it is told to stop; return the exit status.

    ``out`` (standard output) gets the lines for a person. Raises ConfigError when the service cannot
    start. The first SIGINT, SIGTERM or SIGHUP drains, a second one cuts.
    """
    log = logs.start(config.log)
    try:
        with DataFolder(config.data_dir) as folder:
            return run(_Service(config, folder, log, out or sys.stdout).run())
    except asyncio.CancelledError:
        return 1
    finally:
        log.finish()


class _Service:
    """A service that runs."""

    def __init__(self, config: ServeConfig, folder: DataFolder, log: logs.Log, out: TextIO) -> None:
        self._config = config
        self._folder = folder
        self._log = log
        self._out = out
        self._worker = Worker(config.edge)
        self._events = EventFeed(log)
        self._directory = Directory(self._events)
        self._link = ControllerLink(config, self._directory, self._events)
        self._watching = Watching(config.edge, self._worker, self._link, self._events)
        self._stop = asyncio.Event()
        self._ready = False
        self._host_key: ssh_host_key.HostKey | None = None

    async def run(self) -> int:
        """Start, wait for a signal, stop."""
        async with contextlib.AsyncExitStack() as stack:
            self._hear_signals(stack)
            await self._worker.open()
            await self._watching.open(stack)
            # Run from the last to the first: agents hear of the end when nothing slow is left to do.
            stack.callback(self._events.save, self._config.data_dir / PENDING)
            stack.push_async_callback(self._worker.close)
            api = stack.enter_context(LocalSocket(self._config.data_dir / API_SOCKET))
            stack.push_async_callback(self._link.stop)
            stack.push_async_callback(self._link.flush_events)
            stack.push_async_callback(self._worker.drain)
            self._events.load(self._config.data_dir / PENDING)
            edge = self._config.edge
            hosts = [each.host for each in edge.connect_addresses]
            chain, key = self._folder.certificate(edge.domain, time.time(), hosts)
            control = self._config.control
            settings = replace(
                facts_of(self._worker.config),
                oauth_providers=tuple(name for name, app in edge.oauth_providers.items() if app.client_id),
                plans=control.plans,
                api_rate=control.api_rate,
                api_parallel=control.api_parallel,
                admin_cidrs=tuple(map(str, control.admin_cidrs)),
                outgoing_allow=tuple(map(str, edge.outgoing_allow)),
                listeners=self._worker.addresses + self._watching.addresses,
            )
            self._link.start(api.fileno(), settings)
            self._worker.start(
                self._link,
                self._events,
                secret=self._folder.secret(),
                certificate=CertificatePem(chain.read_bytes(), key.read_bytes()),
                api=api.address,
                live=self._directory,
                ssh=self._ssh_setup(),
                identities=IdentityLink(self._link),
                open_secret=_opener(self._config.data_dir),
            )
            self._watching.started(chain.read_bytes())
            self._directory.obey(self._worker.command)
            self._events.follow(self._worker.wishes)
            await self._announce()
            self._watching.state = ""
            await self._stop.wait()
            self._watching.state = "stopping"
            _log.info("stopping")
        _log.info("stopped")
        return 0

    async def _announce(self) -> None:
        """Say that the service is ready: to agents by the file, to a person by a few lines."""
        secrets = await self._secrets(self._folder.kept_secrets())
        ports = Ports(self._worker.agent_port, self._worker.http_port, self._worker.https_port)
        await self._worker.ssh_ready()
        content = bootstrap.bootstrap_content(self._config, ports, secrets)
        self._folder.announce(content)
        self._ready = True
        with contextlib.suppress(OSError):  # nobody reads standard output: that is no reason to end
            self._out.write(self._ssh_lines() + bootstrap.banner(content, secrets, self._config.data_dir))
            self._out.flush()
        _log.info("ready")

    def _ssh_setup(self) -> SshSetup | None:
        """Return what the SSH gateway needs, if there is to be one. Raises ConfigError."""
        if self._config.edge.listen_ssh is None:
            return None
        self._host_key = ssh_host_key.load_or_make(self._config.data_dir)
        return SshSetup(self._link, self._host_key.private)

    def _ssh_lines(self) -> str:
        """Return what a person must know of the SSH gateway, and keep the line for known_hosts."""
        if self._host_key is None:
            return ""
        hosts, port = bootstrap.ssh_hosts(self._config), self._worker.ssh_port
        host, line = hosts[0], ssh_host_key.known_hosts_line(self._host_key, hosts, port)
        path = ssh_host_key.keep_known_hosts(self._config.data_dir, line)
        return (
            f"SSH clients connect to {host}, port {port}: ssh -p {port} -R 443:localhost:8080 {host} http\n"
            f"  its key             {self._host_key.fingerprint}\n"
            f"  for known_hosts     {line}\n"
            f"  which stands in     {path}\n\n"
        )

    async def _secrets(self, kept: Secrets) -> Secrets:
        await self._link.ready()
        while True:
            try:
                return await self._link.bootstrap(kept.authtoken, kept.api_key)
            except Error as error:
                _log.warning("the controller is asked again: %s", error.message)
                await asyncio.sleep(RETRY)

    def _hear_signals(self, stack: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def told() -> None:
            """Drain; cut when told again, or when there is nothing to drain yet."""
            if self._stop.is_set() or not self._ready:
                _log.warning("cutting what still runs")
                task.cancel()
            self._stop.set()

        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(each, told)
            stack.callback(loop.remove_signal_handler, each)


def _opener(folder: Path) -> "Callable[[bytes, str], bytes]":
    """Return what opens the secrets of the store. Its library is imported when a policy asks for one."""

    @cache
    def seal() -> "Seal":
        from portway.control.certificates.seal import KEY_FILE, Seal

        return Seal(folder / KEY_FILE)

    return lambda sealed, belongs_to: seal().open(sealed, belongs_to)
