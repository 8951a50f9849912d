"""Our own agent as a process that can be stopped, frozen and killed: tests/system/drivers/own_agent.py."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from random import SystemRandom
from typing import Any

import psutil

from tests.kit.eventually import eventually
from tests.kit.product import START, Process, Service

DRIVER = Path(__file__).parent.parent / "system" / "drivers" / "own_agent.py"

INTERVAL = 0.4
TOLERANCE = 0.6
"""Seconds: short heartbeats, so that a dead peer is found soon."""


class DrivenAgent(Process):
    """One agent with some endpoints of one upstream."""

    program = (str(DRIVER),)

    def __init__(self, service: Service, *, port: int = 0, token: str = "") -> None:
        """Take the service, and the port (a proxy's) and token to use instead of its own."""
        super().__init__(service.folder, f"driven-{SystemRandom().randrange(1 << 32):08x}")
        self._environ = service.agent_environment()
        if port:
            self._environ["PORTWAY_CONNECT_URL"] = f"127.0.0.1:{port}"
        if token:
            self._environ["PORTWAY_AUTHTOKEN"] = token

    def start(
        self,
        to: str,
        url: str,
        *,
        count: int = 1,
        interval: float = INTERVAL,
        tolerance: float = TOLERANCE,
    ) -> list[str]:
        """Start and return the public URLs. Raises RuntimeError when the agent ends instead."""
        given = {"to": to, "url": url, "count": count, "interval": interval, "tolerance": tolerance}
        self.spawn(json.dumps(given), environ=self._environ)
        return eventually(self._urls, f"the agent of {url} is online", timeout=START)

    def told(self, event: str) -> list[float]:
        """Return when, by the monotonic clock, the agent told of "lost", "back" or "tasks"."""
        return [line["at"] for line in self._lines() if line.get("event") == event]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def descriptors(self) -> int:
        """Count the open descriptors."""
        return psutil.Process(self.pid).num_fds()

    def tasks(self) -> int:
        """Ask for the number of its tasks."""
        before = len(self.told("tasks"))
        self.signal(signal.SIGUSR1)
        eventually(lambda: len(self.told("tasks")) > before, "the agent tells of its tasks")
        return [line["tasks"] for line in self._lines() if line.get("event") == "tasks"][-1]

    def _urls(self) -> list[str]:
        if self.exited() is not None:
            raise RuntimeError(f"the agent ended with {self.exited()}:\n{self.log[-4000:]}")
        return next((line["urls"] for line in self._lines() if "urls" in line), list[str]())

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]


@contextlib.asynccontextmanager
async def driven_agent(
    service: Service,
    to: str,
    url: str,
    *,
    port: int = 0,
    count: int = 1,
    interval: float = INTERVAL,
    tolerance: float = TOLERANCE,
) -> AsyncGenerator[tuple[DrivenAgent, str]]:
    """Run one for the time of the context; give it and its first URL."""
    agent = DrivenAgent(service, port=port)
    try:
        urls = await asyncio.to_thread(
            lambda: agent.start(to, url, count=count, interval=interval, tolerance=tolerance)
        )
        yield agent, urls[0]
    finally:
        await asyncio.to_thread(agent.kill)
