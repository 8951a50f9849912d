"""A service under attack and a well-behaved tenant on it: an agent of its own, with visitors all the while.

``unharmed`` is what every attack is wrapped in: the tenant's visitors are answered, quickly, its agent
keeps its session, the service stays one process of bounded memory and logs no fault of its own.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.kit.product import AgentProcess, Service, clean_environment, running_agent, running_service
from tests.kit.raw_agent import RawAgent, raw_agent
from tests.kit.sockets import upstream
from tests.kit.traffic import get

MIB = 1 << 20
BETWEEN = 0.1
"""Seconds between two visits of the tenant; more visits would mostly heat the machine."""

QUICK = 10.0
"""Seconds in which a visitor of the tenant must have its answer, on a busy machine."""


class Stage:
    """The service, the tenant, and a second account for the attacker."""

    def __init__(self, service: Service, tenant: AgentProcess, url: str) -> None:
        """Take what runs."""
        self.service = service
        self.tenant = tenant
        self.url = url
        self.known = service.bootstrap

    @cached_property
    def attacker(self) -> str:
        """An authtoken of the second account."""
        _admin(self.service, "account", "add", "attacker")
        return str(_admin(self.service, "token", "add", "--account", "attacker")["token"])

    def records(self, start: int = 0) -> list[dict[str, Any]]:
        """Return the service's log from a position on, which must be JSON line by line."""
        return [json.loads(line) for line in self.lines(start)]

    def lines(self, start: int = 0) -> list[str]:
        """Return the whole lines of the log, without what is said to who starts the service."""
        whole = self.service.log
        start = max(start, whole.index("\n{") + 1)
        begin = whole.rindex("\n", 0, start) + 1  # a reader may come in the middle of a line
        return whole[begin : whole.rindex("\n")].split("\n")

    @asynccontextmanager
    async def agent(self, token: str = "", user_agent: str = "portway/1") -> AsyncGenerator[RawAgent]:
        """An authenticated agent of the attacker's that keeps no rule."""
        async with self.stranger() as agent:
            answer = await agent.auth(token or self.attacker, user_agent)
            assert not answer["Error"], answer
            yield agent

    @asynccontextmanager
    async def stranger(self, source: str = "127.0.0.1") -> AsyncGenerator[RawAgent]:
        """A connection of an agent that has not authenticated."""
        async with raw_agent(self.known.connect_url, self.known.ca_cert, source) as agent:
            yield agent

    async def visit(self) -> None:
        """Visit the tenant once."""
        answer = await get(self.url, self.known.http_port)
        assert (answer.status, answer.body) == (200, b"unharmed"), answer


@contextmanager
def stage(folder: Path, *flags: str) -> Generator[Stage]:
    """Run all of it for the time of the context."""
    with (
        running_service(folder, "--log-format", "json", *flags) as service,
        upstream(_serve) as port,
        running_agent(service, "http", str(port), "--url", "http://tenant.portway.localhost") as (agent, url),
    ):
        made = Stage(service, agent, url)
        assert made.attacker  # made now: two commands are run for it, and nobody's clock runs yet
        yield made


@asynccontextmanager
async def unharmed(on: Stage, *, growth: int = 32 * MIB) -> AsyncGenerator[None]:
    """Visit the tenant during the attack; see afterwards that nobody else has felt it."""
    await on.visit()
    pid, before, log = on.service.pid, on.service.rss(), len(on.service.log)
    records = len(on.tenant.records())
    over = asyncio.Event()
    visits = asyncio.create_task(_visit_until(on, over), name="visitor of the tenant")
    try:
        yield
    finally:
        over.set()
        slowest = await visits
    await on.visit()
    assert slowest < QUICK, f"a visitor of the tenant waited {slowest:.1f} s"
    assert on.service.exited() is None
    assert on.service.pid == pid
    grown = on.service.rss() - before
    assert grown < growth, f"the service grew by {grown / MIB:.1f} MiB"
    faults = [line for line in on.records(log) if "traceback" in line or line["level"] == "error"]
    assert not faults, faults
    lost = [
        each
        for each in on.tenant.records()[records:]
        if each["lvl"] in {"warn", "warning", "eror", "error", "crit"}
    ]
    assert not lost, f"the tenant's agent has felt it: {lost}"


async def _visit_until(on: Stage, over: asyncio.Event) -> float:
    """Visit again and again; return the longest time that a visit took."""
    slowest = 0.0
    while not over.is_set():
        began = time.monotonic()
        await on.visit()
        slowest = max(slowest, time.monotonic() - began)
        with _timeout_is_fine():
            await asyncio.wait_for(over.wait(), BETWEEN)
    return slowest


@contextmanager
def _timeout_is_fine() -> Generator[None]:
    try:
        yield
    except TimeoutError:
        return


def _serve(connection: socket.socket) -> None:
    """Answer GETs, on and on."""
    held = b""
    while piece := connection.recv(65_536):
        *requests, held = (held + piece).split(b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nunharmed" * len(requests))


def _admin(service: Service, *command: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "portway.cli.main", "admin", *command, "--data-dir", service.data, "--json"],
        check=True,
        capture_output=True,
        env=clean_environment(),
    )
    return json.loads(done.stdout)
