"""What is measured: pairs of processes that carry a visitor's bytes to an upstream."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import trustme

ROOT = Path(__file__).resolve().parent.parent
START = 20.0
"""Seconds that anything may take to start."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A running pair: where visitors come in, and the two processes whose cost counts."""

    name: str
    tcp_port: int
    http_port: int
    http_host: str
    service: psutil.Process
    agent: psutil.Process

    def cpu(self) -> tuple[float, float]:
        """Return the CPU seconds used so far by service and agent."""
        used = [process.cpu_times() for process in (self.service, self.agent)]
        return used[0].user + used[0].system, used[1].user + used[1].system

    def memory(self) -> tuple[int, int]:
        """Return the resident bytes of service and agent."""
        return self.service.memory_info().rss, self.agent.memory_info().rss


Starter = Callable[[contextlib.ExitStack, int], Contender]


def portway(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start `portway serve` without its access log, and an agent of ours."""
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portway-bench-")))
    listen = [part for name in ("agent", "http", "https") for part in (f"--listen-{name}", "127.0.0.1:0")]
    command = ["portway.cli.main", "serve", "--data-dir", str(data), "--access-log", "off", *listen]
    service = _process(stack, *command, "--tcp-ports", "21000-21999", log=data / "log")
    bootstrap = data / "bootstrap.json"
    _wait(bootstrap.exists)
    known = json.loads(bootstrap.read_text())
    agent = _process(
        stack,
        "bench.agent",
        str(upstream),
        environ={
            "PORTWAY_CONNECT_URL": known["connect_url"],
            "PORTWAY_CONNECT_CAS": known["ca_cert"],
            "PORTWAY_AUTHTOKEN": known["authtoken"],
        },
    )
    raw, web = (urlsplit(url) for url in _first_line(agent).split())
    assert raw.port
    assert web.port
    return _pair("portway", raw.port, web.port, web.netloc, service, agent)


def minimal(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start the minimal relay of this folder; it knows no HTTP and carries it as bytes."""
    certificate, key, ca = _certificates(stack)
    service = _process(stack, "bench.relay", "server", str(certificate), str(key))
    gate, public = _first_line(service).split()
    agent = _process(stack, "bench.relay", "agent", gate, str(ca), str(upstream))
    _wait(lambda: _carries(int(public)))
    return _pair("minimal relay", int(public), int(public), "localhost", service, agent)


def prototype(stack: contextlib.ExitStack, upstream: int) -> Contender:
    """Start the relay program that PROTOTYPE names: `relay.py server|agent TUNNEL TCP HTTP UPSTREAM`."""
    certificate, key, ca = _certificates(stack)
    folder = certificate.parent
    (folder / "cert.pem").write_bytes(certificate.read_bytes() + ca.read_bytes())
    (folder / "key.pem").write_bytes(key.read_bytes())
    program = str(Path(os.environ["PROTOTYPE"]).resolve())
    ports = [str(port) for port in _free_ports(3)]
    steering = {"LOOP": "uvloop", "TLS": "bio", "FRAME": "262144", "WIN": "1048576", "BUF": "524288"}
    environ = steering | {"CAP": "262144", "SSL_CERT_FILE": str(ca)}

    def start(role: str) -> "subprocess.Popen[str]":
        command = [sys.executable, program, role, *ports, str(upstream)]
        return _popen(stack, command, environ, cwd=folder)

    service = start("server")
    _wait(lambda: _listens(service.pid, int(ports[0])))  # it ends when a probe connects and leaves
    agent = start("agent")
    _wait(lambda: _carries(int(ports[1])))
    return _pair("prototype", int(ports[1]), int(ports[2]), "t.local", service, agent)


def starters() -> list[Starter]:
    """Return what is to be measured; the outside prototype only when PROTOTYPE names it."""
    return [portway, minimal, *([prototype] if os.environ.get("PROTOTYPE") else [])]


@contextlib.contextmanager
def load(*arguments: str, wait_input: bool = False) -> Generator["subprocess.Popen[str]"]:
    """Run one role of bench.load for the time of the context."""
    with contextlib.ExitStack() as stack:
        stdin = subprocess.PIPE if wait_input else subprocess.DEVNULL
        yield _popen(stack, [sys.executable, "-m", "bench.load", *arguments], {}, stdin=stdin)


def _pair(
    name: str,
    tcp_port: int,
    http_port: int,
    host: str,
    service: "subprocess.Popen[str]",
    agent: "subprocess.Popen[str]",
) -> Contender:
    processes = psutil.Process(service.pid), psutil.Process(agent.pid)
    return Contender(name, tcp_port, http_port, host, *processes)


def _certificates(stack: contextlib.ExitStack) -> tuple[Path, Path, Path]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portway-bench-")))
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key, ca = folder / "chain.pem", folder / "private.pem", folder / "ca.pem"
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    ca.write_bytes(authority.cert_pem.bytes())
    return certificate, key, ca


def _process(
    stack: contextlib.ExitStack,
    module: str,
    *arguments: str,
    environ: dict[str, str] | None = None,
    log: Path | None = None,
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *arguments]
    return _popen(stack, command, environ or {}, log=log)


def _popen(
    stack: contextlib.ExitStack,
    command: list[str],
    environ: dict[str, str],
    *,
    cwd: Path = ROOT,
    log: Path | None = None,
    stdin: int = subprocess.DEVNULL,
) -> "subprocess.Popen[str]":
    output = stack.enter_context(log.open("w")) if log else subprocess.PIPE
    errors = subprocess.STDOUT if log else None
    process = subprocess.Popen(
        command, cwd=cwd, env=os.environ | environ, stdin=stdin, stdout=output, stderr=errors, text=True
    )
    stack.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


def _first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline()


def _wait(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError("a contender did not start")
        time.sleep(0.02)


def _listens(pid: int, port: int) -> bool:
    """Say whether a process listens on a port, without connecting to it."""
    sockets = psutil.Process(pid).net_connections("tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr[1] == port for one in sockets)


def _carries(port: int) -> bool:
    """Say whether a byte comes back through the relay."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.sendall(b"Ex")
            return probe.recv(1) == b"x"
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
