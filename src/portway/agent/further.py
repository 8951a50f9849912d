"""Further sessions of one agent, each to another address of the service (the option ``multi_leg``).

The first session's answer names the addresses. For each beyond the first the agent keeps a session with
the same client id and cookie and a number of its own, and binds every endpoint there too, with the id and
the token that the first one was given. Visitors come over any of them. When one is lost the others go on
serving, and it is made anew, backing off; only the first one's end for good is the agent's.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from portway.agent.bound import Bound
from portway.agent.discovery import Service
from portway.agent.info import AgentSession, session_info
from portway.agent.link import Link
from portway.agent.options import AgentOptions
from portway.agent.rebind import Rebinder
from portway.agent.url import split_host_port
from portway.errors import Error, PortwayError, SessionClosed
from portway.net.backoff import Backoff
from portway.pipe import Pipe, Sink
from portway.wire.messages import CommandResp, ProxyHeader, StopTunnel

if TYPE_CHECKING:
    from portway.agent.reconnect import Keeper


class Further:
    """One further session, and the owner of its links. `open` it first, then `keep` it in a task."""

    def __init__(
        self,
        keeper: "Keeper",
        options: AgentOptions,
        number: int,
        address: str,
        rebinder: Rebinder,
        backoff: Callable[[], Backoff],
        log: logging.Logger,
    ) -> None:
        """Prepare session ``number`` to this ``host:port``. Raises ConfigError for a bad address."""
        self._keeper = keeper
        self._options = options
        self.number = number
        host, port = split_host_port(address, "an address of the service")
        self._host, self._port = host, port or 443
        self._rebinder = rebinder
        self._backoff = backoff
        self._log = log
        self._link: Link | None = None
        self.session: AgentSession | None = None

    def __repr__(self) -> str:
        """Show where it leads and whether it stands."""
        state = "connected" if self._link is not None else "not connected"
        return f"<Further {self.number} {self._host}:{self._port} {state}>"

    @property
    def link(self) -> Link | None:
        """Return the link that stands, None while it is lost."""
        return self._link

    async def open(self, *, tell: bool) -> None:
        """Connect and bind what stands. Raises PortwayError; leaves nothing open then.

        ``tell``: say so in an event.
        """
        link = Link(self)
        client_id, cookie = self._keeper.identity
        answer = await link.open(
            self._service(), self._options, client_id=client_id, cookie=cookie, leg=self.number
        )
        if not await self._rebinder.restore(link):
            raise await link.wait_closed() or SessionClosed("the session was closed")
        self._link = link
        self.session = session_info(self._keeper.agent, answer, datetime.now(UTC))
        if tell:
            self._keeper.emitter.connected(self.session)

    async def keep(self) -> None:
        """Wait for losses and heal them, until the service refuses this session for good."""
        while self._link is not None:
            cause = await self._link.wait_closed()
            self._link = None
            self._lost(cause or SessionClosed("the session was closed"))
            await self._reopen()

    async def _reopen(self) -> None:
        backoff, loop = self._backoff(), asyncio.get_running_loop()
        while self._link is None:
            await asyncio.sleep(backoff.next(loop.time(), random.random()))
            try:
                await self.open(tell=True)
            except PortwayError as error:
                self._lost(error)
                if self._keeper.is_final(error):
                    return

    def _lost(self, error: PortwayError) -> None:
        self._log.warning("session %d lost: %s", self.number, error)
        self._keeper.emitter.disconnected(self.session, error)

    async def bind(self, bound: Bound) -> None:
        """Bind an endpoint here too, if the session stands: else it will be when it does."""
        if self._link is not None and not bound.options.labels:
            await self._rebinder.repeat(self._link, bound)

    async def unbind(self, bound: Bound) -> None:
        """Give an endpoint up here."""
        if self._link is not None and not bound.options.labels:
            try:
                await self._link.unbind(bound.id)
            except Error as error:
                self._log.warning("%s could not be given up everywhere: %s", bound.where, error)

    def abort(self) -> None:
        """Cut it now."""
        if self._link is not None:
            self._link.abort()

    def _service(self) -> Service:
        return replace(self._keeper.service, host=self._host, port=self._port, server_name="")

    # -- what its link tells: the same as that of the first session

    def visitor(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        """Find the endpoint of a visitor's connection."""
        return self._keeper.visitor(header, pipe)

    def stopped(self, order: StopTunnel) -> None:
        """End an endpoint that the service took away."""
        self._keeper.stopped(order)

    async def command(self, kind: int, body: bytes) -> CommandResp:
        """Have the application decide."""
        return await self._keeper.command(kind, body)

    def heartbeat(self, link: Link, latency: float) -> None:
        """Note the latency and pass the news on."""
        if link is self._link and self.session is not None:
            self.session.latency = latency
            self._keeper.emitter.heartbeat(self.session, latency)
