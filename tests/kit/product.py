"""The whole product as its users run it: `portway serve` and the agents, each its own process.

Everything listens on loopback, on ports that the system chose; every file is in a temporary folder.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

import psutil

from tests.kit.eventually import eventually
from tests.kit.ports import lasting

START = 45.0
"""Seconds that a process may take to start on a busy machine."""

STOP = 20.0
"""Seconds that it may take to stop."""

TCP_PORTS = 60
"""Ports given to one service for its TCP endpoints."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a service writes into bootstrap.json for agents of the same user."""

    authtoken: str
    api_key: str
    ca_cert: str
    connect_url: str
    domain: str
    http_url: str
    https_url: str

    @classmethod
    def read(cls, path: Path) -> "Bootstrap":
        """Read the file; raises OSError while it is not there."""
        content = json.loads(path.read_text())
        return cls(**{name: content[name] for name in cls.__slots__})

    @property
    def http_port(self) -> int:
        """The port of http endpoints."""
        return int(self.http_url.rpartition(":")[2])

    @property
    def https_port(self) -> int:
        """The port of https and tls endpoints."""
        return int(self.https_url.rpartition(":")[2])


class Process:
    """One process of the product, its output kept in a file."""

    program: tuple[str, ...] = ("-m", "portway.cli.main")
    """What the interpreter runs."""

    def __init__(self, folder: Path, name: str, python: str = sys.executable) -> None:
        """Take a folder for the log, a name for it, and the interpreter to run."""
        folder.mkdir(parents=True, exist_ok=True)
        self._python = python
        self._prefix: tuple[str, ...] = ()
        self.folder = folder
        self.name = name
        self.log_file = folder / f"{name}.log"
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._running, f"{self.name} is not running"
        return self._running.pid

    @property
    def log(self) -> str:
        """All that the process has printed, over all its starts."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def rss(self) -> int:
        """Return the resident memory of the process in bytes, without its children."""
        return psutil.Process(self.pid).memory_info().rss

    def cpu(self) -> float:
        """Return the CPU seconds that the process has used, without its children."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def spawn(self, *command: str, environ: Mapping[str, str] | None = None) -> None:
        """Start the command line `portway …` in a clean environment."""
        assert self._running is None, f"{self.name} runs already"
        with self.log_file.open("ab") as log:
            self._running = subprocess.Popen(
                [*self._prefix, self._python, *self.program, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment() | dict(environ or {}),
                start_new_session=True,
            )

    def exited(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._running.poll() if self._running else 0

    def stop(self) -> int:
        """Ask the process to end, as Ctrl-C or a service manager does; return its exit status."""
        if self._running is None:
            return 0
        self._running.send_signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        """End the process at once, its children with it, as a crash of the machine would."""
        if self._running is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)
        self._ended()

    def _ended(self) -> int:
        assert self._running
        process, self._running = self._running, None
        try:
            return process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise AssertionError(f"{self.name} did not end within {STOP:g} s:\n{self.log[-4000:]}") from None


class Service(Process):
    """`portway serve` on free ports of loopback, which it keeps over restarts."""

    def __init__(self, folder: Path, *flags: str, data: Path | None = None) -> None:
        """Take a folder, made if need be, further flags of `portway serve`, and the data folder if it
        shall be another than ``folder/data``.
        """
        super().__init__(folder, "serve")
        self.data = data or folder / "data"
        self._flags = flags
        low = lasting(TCP_PORTS)
        self._ports = {"agent": 0, "http": 0, "https": 0}
        self._old = 0
        self._tcp = f"{low}-{low + TCP_PORTS - 1}"

    @property
    def bootstrap(self) -> Bootstrap:
        """What the service says of itself."""
        return Bootstrap.read(self.data / "bootstrap.json")

    def start(self) -> "Service":
        """Start the service and wait until every listener accepts."""
        listen = [
            part for name, port in self._ports.items() for part in (f"--listen-{name}", f"127.0.0.1:{port}")
        ]
        # A killed service leaves its file; that one says nothing about the one started now.
        self._old = self._stamp()
        self.spawn("serve", "--data-dir", str(self.data), *listen, "--tcp-ports", self._tcp, *self._flags)
        eventually(self._ready, "portway serve is ready", timeout=START)
        known = self.bootstrap
        self._ports = {
            "agent": int(known.connect_url.rpartition(":")[2]),
            "http": known.http_port,
            "https": known.https_port,
        }
        return self

    def restart(self, *, kill: bool = False) -> None:
        """Stop, or kill, the service and start it again on the same ports."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def agent_environment(self) -> dict[str, str]:
        """Return the variables that point an agent of ours to this service."""
        known = self.bootstrap
        return {
            "PORTWAY_CONNECT_URL": known.connect_url,
            "PORTWAY_CONNECT_CAS": known.ca_cert,
            "PORTWAY_AUTHTOKEN": known.authtoken,
        }

    def _ready(self) -> bool:
        if self.exited() is not None:
            status = self.exited()
            raise RuntimeError(f"portway serve ended with {status}:\n{self.log[-4000:]}")
        return self._stamp() not in {0, self._old}

    def _stamp(self) -> int:
        """Return what tells one bootstrap file from another; 0 while there is none."""
        file = self.data / "bootstrap.json"
        try:
            return file.stat().st_mtime_ns
        except FileNotFoundError:
            return 0


class AgentProcess(Process):
    """`portway http|tcp|tls …` beside an upstream."""

    def __init__(self, folder: Path, service: Service, python: str = sys.executable) -> None:
        """Take a folder for the log, the service to connect to, and the interpreter to run."""
        super().__init__(folder, f"agent-{SystemRandom().randrange(1 << 32):08x}", python)
        self._service = service

    def start(self, *command: str) -> str:
        """Start the agent; return the public URL of its endpoint."""
        environ = self._service.agent_environment()
        self.spawn(*command, "--log", "stdout", "--log-format", "json", environ=environ)
        return eventually(self._url, f"portway {' '.join(command)} is online", timeout=START)

    def records(self) -> list[dict[str, Any]]:
        """Return the log records so far."""
        lines = (line for line in self.log.splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def _url(self) -> str:
        if self.exited() is not None:
            raise RuntimeError(f"the agent ended with {self.exited()}:\n{self.log[-4000:]}")
        return next((str(record["url"]) for record in self.records() if record.get("url")), "")


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that would steer portway or ngrok, or slow it down."""
    steering = ("PORTWAY_", "NGROK_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return kept | {"PYTHONUNBUFFERED": "1"}


@contextlib.contextmanager
def running_service(folder: Path, *flags: str) -> Generator[Service]:
    """Run a service for the time of the context."""
    service = Service(folder, *flags)
    try:
        yield service.start()
    finally:
        service.kill()


@contextlib.contextmanager
def running_agent(service: Service, *command: str) -> Generator[tuple[AgentProcess, str]]:
    """Run an agent for the time of the context; give it and its public URL."""
    agent = AgentProcess(service.folder, service)
    try:
        yield agent, agent.start(*command)
    finally:
        agent.kill()


@contextlib.asynccontextmanager
async def agent_beside(service: Service, *command: str) -> AsyncGenerator[tuple[AgentProcess, str]]:
    """Run an agent from async code, whose loop may be serving the upstream meanwhile."""
    agent = AgentProcess(service.folder, service)
    try:
        yield agent, await asyncio.to_thread(agent.start, *command)
    finally:
        await asyncio.to_thread(agent.kill)
