"""A whole service on a loop of its own thread, for tests of what blocks."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from tests.kit.service import Running

PATIENCE = 20.0


class ServiceThread:
    """Runs a service while the context is open."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Running]]) -> None:
        """Prepare; ``make`` gives the service's context."""
        self._make = make
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="service", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._running: Running | None = None

    @property
    def running(self) -> Running:
        """Return the service."""
        assert self._running is not None, "the service has not started"
        return self._running

    @property
    def connect_url(self) -> str:
        """Return what an agent is told."""
        return f"127.0.0.1:{self.running.agent_port}"

    @property
    def ca(self) -> bytes:
        """Return the authority that it shows."""
        return self.running.certs.ca

    def names(self) -> list[str]:
        """Return the URLs that are reserved, once every change is written down."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._names(), self._loop).result(PATIENCE)

    async def _names(self) -> list[str]:
        gateway = self.running.worker.gateway
        assert gateway is not None
        async with asyncio.timeout(PATIENCE):
            while gateway.legs:  # noqa: ASYNC110 - the gateway rings no bell; no time need pass
                await asyncio.sleep(0)
        await self.running.settled()
        return list(self.running.control.names)

    def __enter__(self) -> Self:
        """Start, and wait until agents may come."""
        self._thread.start()
        assert self._ready.wait(PATIENCE), "the service has not started"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and wait."""
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._make() as self._running:
            self._ready.set()
            await self._stop.wait()
