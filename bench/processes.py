"""Starting, ending and weighing the processes that are measured."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil
import trustme
from bench.order import Order

ROOT: Final = Path(__file__).resolve().parent.parent
START: Final = 60.0
"""Seconds that anything may take to start."""

LIMIT: Final = 60.0
"""Seconds that one load may take."""

PAUSE: Final = 0.002
"""Seconds between two looks whether something has started."""

CPU_CLOCK: Final = 2
"""What all threads of a process have run, in the low bits of the number of its clock."""

Program = subprocess.Popen[str]


class StartError(Exception):
    """A contender did not start."""


class LoadError(Exception):
    """A load failed or did not end."""


def start(
    stack: contextlib.ExitStack,
    command: list[str],
    environ: Mapping[str, str] | None = None,
    *,
    cwd: Path = ROOT,
    log: Path | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Program:
    """Start a program that ends with the stack; it is read through a pipe, or writes a log."""
    output = stack.enter_context(log.open("w")) if log else subprocess.PIPE
    errors = subprocess.STDOUT if log else None
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PORTWAY_", "NGROK_"))}
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=known | dict(environ or {}),
        stdin=stdin,
        stdout=output,
        stderr=errors,
        text=True,
    )
    stack.callback(_end, process)
    return process


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in this interpreter."""
    return [sys.executable, "-m", name, *arguments]


def first_line(process: Program) -> str:
    """Return the first line that a program prints. Raises StartError when it ends instead."""
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise StartError(f"{process.args!r} ended with {process.wait()}")
    return line


@contextlib.contextmanager
def loading(kind: str, order: Order) -> Generator[Program]:
    """Run one kind of bench.load for the time of the context."""
    with contextlib.ExitStack() as stack:
        command = module("bench.load", kind, json.dumps(asdict(order)))
        yield start(stack, command, stdin=subprocess.PIPE)


def loaded(kind: str, order: Order) -> dict[str, float]:
    """Run one kind of bench.load to its end; return what it says. Raises LoadError."""
    with loading(kind, order) as visitors:
        return result(visitors)


def result(visitors: Program) -> dict[str, float]:
    """Wait for the end of a load and return what it says. Raises LoadError when it fails or hangs."""
    try:
        printed, _ = visitors.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise LoadError(f"it did not end within {LIMIT:g} s") from None
    if visitors.returncode:
        raise LoadError(f"it ended with {visitors.returncode}")
    answer: dict[str, float] = json.loads(printed.splitlines()[-1])
    return answer


def cpu(root: int) -> float:
    """Return the CPU seconds used so far by a process and those below it.

    Each process has a clock of its own, in nanoseconds (clock_getcpuclockid(3), whose numbers on Linux are
    made here); /proc counts in hundredths of a second, of which a short run may take none.
    """
    return sum(time.clock_gettime(~process.pid << 3 | CPU_CLOCK) for process in _tree(root))


def memory(root: int) -> int:
    """Return the resident bytes of a process and those below it."""
    return sum(process.memory_info().rss for process in _tree(root))


def _tree(root: int) -> list[psutil.Process]:
    top = psutil.Process(root)
    return [top, *top.children(recursive=True)]


def wait(look: Callable[[], Any], what: str, pause: float = 0.02) -> None:
    """Look until there is something. Raises StartError after START seconds."""
    deadline = time.monotonic() + START
    while not look():
        if time.monotonic() > deadline:
            raise StartError(what)
        time.sleep(pause)


def listens(pid: int, port: int) -> bool:
    """Say whether a process listens on a port, without connecting to it."""
    sockets = psutil.Process(pid).net_connections("tcp")
    return any(one.status == psutil.CONN_LISTEN and one.laddr[1] == port for one in sockets)


def accepts(port: int) -> bool:
    """Say whether a port accepts a connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def carries(port: int) -> bool:
    """Say whether a byte comes back through a relay."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.sendall(b"Ex")
            return probe.recv(1) == b"x"
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on just now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Write a chain for localhost, its key and the authority into a folder; return the three files."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    chain, key, ca = folder / "chain.pem", folder / "private.pem", folder / "ca.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    ca.write_bytes(authority.cert_pem.bytes())
    return chain, key, ca


def _end(process: Program) -> None:
    """Ask to end, as a supervisor does: what has children ends them."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream and not stream.closed:
            stream.close()
