"""What keeps an agent connected: the first connect, what to restore after a loss, when to give up.

A `Keeper` is one life of an agent, from its first connect to its disconnect or to a refusal that
cannot heal. Its endpoints live in it; over its links they are bound again with their id, token and
options. Between attempts it backs off (0.5 s doubling to 2 s in the first minute of an outage, then
to 30 s, jittered); the session's client id and cookie make the service take the new session for the
old one, so that random addresses stay.

A refused rebind does not disturb the others: it is tried again, backing off, while the session
stands. An endpoint that the service stopped is not bound again. A link is only used by the loop on
which it was opened; when that loop ends, so does the life.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from portway.agent.bound import Bound
from portway.agent.discovery import Service, discover
from portway.agent.emitter import Emitter
from portway.agent.endpoint import Endpoint
from portway.agent.further import Further
from portway.agent.info import AgentSession, session_info
from portway.agent.labels import LABELED
from portway.agent.link import Link
from portway.agent.options import PROTOS, AgentOptions, EndpointOptions
from portway.agent.rebind import Rebinder
from portway.agent.resume import Resumption
from portway.agent.rpc import obey
from portway.agent.table import Table
from portway.errors import (
    ConfigError,
    ConnectError,
    Error,
    ListenerClosed,
    NotConnected,
    PortwayError,
    SessionClosed,
)
from portway.net.backoff import Backoff
from portway.net.tasks import Tasks
from portway.paths import bootstrap_file, default_data_dir
from portway.pipe import Pipe, Sink
from portway.session import StreamType
from portway.wire.messages import (
    Bind,
    BindLabels,
    BindResp,
    CommandResp,
    ConnectAddress,
    Patch,
    ProxyHeader,
    StopTunnel,
)

if TYPE_CHECKING:
    from portway.agent.agent import Agent

E = TypeVar("E", bound=Endpoint)
Make = Callable[[Bound], E]
Request = Bind | BindLabels

FINAL = frozenset(
    f"ERR_NGROK_{code}"
    for code in (
        # the credentials
        *(105, 106, 107, 300, 4018, 15014, 206),
        # what this agent says of itself
        *(100, 109, 110, 111, 112, 119, 120, 121, 124, 125),
        # the account or its owner's rules
        *(102, 103, 115, 116, 118, 122, 123, 127, 8014, 9040),
    )
)
"""Refusals of Auth that no repetition heals. All others, session limits among them, may."""


LOST = "session lost: %s"
"""Logged when a session, or an attempt to have one again, has failed; `AgentDisconnected` says it too."""


def is_final(error: Exception) -> bool:
    """Return whether trying again cannot help: the service said so by its code."""
    return isinstance(error, Error) and error.code in FINAL


class Keeper:
    """One life of an agent. Made on the loop on which it lives."""

    def __init__(self, agent: "Agent", options: AgentOptions, emitter: Emitter) -> None:
        """Begin a life for this agent."""
        self.agent = agent
        self.backoff: Callable[[], Backoff] = Backoff
        self._options = options
        self._emitter = emitter
        self.loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.table = Table()
        self.session: AgentSession | None = None
        self.over = False
        self._tasks = Tasks()
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._first: asyncio.Task[Exception | None] | None = None
        self._waiting = 0
        self._farewell: asyncio.Task[None] | None = None
        self._service: Service | None = None
        self._resume = options.resume
        self._client_id = self._resume.client_id if self._resume else ""
        self._cookie = self._resume.cookie if self._resume else ""
        self._log = emitter.logger
        self._rebinder = Rebinder(self.table, self._tasks, lambda: self.backoff(), self._log)
        self._addresses: tuple[ConnectAddress, ...] = ()
        self._further: list[Further] = []

    @property
    def ours(self) -> bool:
        """Whether its loop can still run: it is open, and this process was not forked from the loop's."""
        return not self.loop.is_closed() and self._process == os.getpid()

    @property
    def connected(self) -> bool:
        """Whether a session stands right now."""
        return self._link is not None

    @property
    def identity(self) -> tuple[str, str]:
        """Return client id and cookie: what a further session of this agent shows."""
        return self._client_id, self._cookie

    @property
    def emitter(self) -> Emitter:
        """Return where this agent's happenings become events."""
        return self._emitter

    @property
    def service(self) -> Service:
        """Return the service as it was known last."""
        return self._find()

    @staticmethod
    def is_final(error: Exception) -> bool:
        """Return whether trying again cannot help."""
        return is_final(error)

    @property
    def established(self) -> bool:
        """Whether the first connect has succeeded; the session may be lost for the moment."""
        return self.session is not None

    # -- the first connect

    async def connect(self) -> None:
        """Make the first connection, or share an attempt that is under way.

        One attempt only. Raises what refused or prevented it. When the last of those who wait is
        cancelled, the attempt is given up and nothing stays open.
        """
        if self._first is None or self._first.done():
            self._first = self._tasks.start(self._connect(), name="agent connect")
        first = self._first
        self._waiting += 1
        try:
            await asyncio.wait({first})
        finally:
            self._waiting -= 1
            if not self._waiting and not first.done():
                first.cancel()
                await asyncio.wait({first})
        if first.cancelled():
            raise NotConnected("the agent was disconnected while it connected")
        error = first.result()
        if error is not None:
            raise error.with_traceback(None)

    async def _connect(self) -> Exception | None:
        """Return what went wrong: several may wait for it, and none of them need be left."""
        try:
            link, session = await self._open()
            further = await self._open_further(link) if self._options.multi_leg else []
        except PortwayError as error:
            self._emitter.disconnected(None, error)
            return error
        self._adopt(link, session)
        self._emitter.connected(session)
        self._tasks.start(self._keep(link), name="agent session")
        for each in further:
            self._further.append(each)
            self._tasks.start(each.keep(), name=f"agent session {each.number}")
        return None

    async def _open_further(self, first: Link) -> list[Further]:
        """Open a session to each further address that the service named, or none at all."""
        made: list[Further] = []
        try:
            for number, address in enumerate(self._addresses[1:], 1):
                further = Further(
                    self,
                    self._options,
                    number,
                    address.server_addr,
                    self._rebinder,
                    lambda: self.backoff(),
                    self._log,
                )
                made.append(further)
                await further.open(tell=False)
        except BaseException:
            for link in (first, *(each.link for each in made)):
                if link is not None:
                    link.abort()
            raise
        return made

    async def _open(self) -> tuple[Link, AgentSession]:
        """Open one session. Raises PortwayError; leaves nothing open then."""
        link = Link(self)
        answer = await link.open(self._find(), self._options, client_id=self._client_id, cookie=self._cookie)
        self._client_id, self._cookie = answer.client_id, answer.extra.cookie
        self._addresses = answer.extra.connect_addresses or ()
        return link, session_info(self.agent, answer, datetime.now(UTC))

    def _find(self) -> Service:
        """Say where to connect. Raises ConfigError when nothing was ever known.

        A service that restarts takes its ``bootstrap.json`` away for a moment. What it said before
        still holds: an agent that came without its token would be refused for good.
        """
        try:
            found = discover(self._options, os.environ, bootstrap_file(default_data_dir()))
        except ConfigError:
            if self._service is None:
                raise
            return self._service
        if self._service is None or found.authtoken:
            self._service = found
        return self._service

    def _adopt(self, link: Link, session: AgentSession) -> None:
        self._link, self.session = link, session
        session.latency = link.latency
        self._up.set()
        self._log.info("session established", extra={"session": session.id, "region": session.region})
        for warning in session.warnings:
            self._log.warning("%s", warning)

    # -- the rest of the life

    async def _keep(self, link: Link) -> None:
        """Wait for losses and heal them, until that is impossible or the task is cancelled."""
        final: Exception | None = None
        try:
            while final is None:
                cause = await link.wait_closed()
                self._up.clear()
                self._link = None
                self._lost(cause or SessionClosed("the session was closed"))
                outcome = await self._reconnect()
                if isinstance(outcome, Exception):
                    final = outcome
                else:
                    link = outcome
        finally:
            self._end(final)

    async def _reconnect(self) -> Link | Exception:
        """Try until a session stands and is restored, or the service refuses for good."""
        backoff = self.backoff()
        while True:
            delay = backoff.next(self.loop.time(), random.random())
            self._log.debug("reconnecting in %.1f s", delay)
            await asyncio.sleep(delay)
            try:
                link, session = await self._open()
            except PortwayError as error:
                self._lost(error)
                if is_final(error):
                    self._log.error("the service refuses this agent for good: %s", error)
                    return error
                continue
            if await self._rebinder.restore(link):
                self._adopt(link, session)
                self._emitter.connected(session)
                return link
            self._lost(await link.wait_closed() or SessionClosed("the session was closed"))

    def _lost(self, error: PortwayError) -> None:
        session = self.session.id if self.session else ""
        self._log.warning(LOST, error, extra={"session": session})
        self._emitter.disconnected(self.session, error)

    def resumption(self) -> Resumption | None:
        """Return what another process needs to continue this life; None before it is established."""
        if self.session is None:
            return None
        binds = [again for bound in self.table if isinstance(again := bound.rebind(), Bind)]
        return Resumption(self._client_id, self._cookie, binds)

    async def drain(self, timeout: float) -> None:
        """End the endpoints, and let running connections finish within so many seconds; `close` follows.

        The service hears first: whom it sends until it has answered is still served. Without a session
        there is nothing to wait for. Cancelled: the endpoints may have ended or not.
        """
        links = self._links()
        if not links or not self.established:
            return
        with contextlib.suppress(TimeoutError, PortwayError):
            async with asyncio.timeout(timeout):
                await asyncio.gather(*(link.unbind(bound.id) for link in links for bound in self.table))
                for bound in self.table.clear():
                    bound.finish(None)
                await asyncio.gather(*(link.drain(timeout) for link in links))

    def _links(self) -> list[Link]:
        """Return the links that stand, the first session's first."""
        links = [self._link, *(each.link for each in self._further)]
        return [link for link in links if link is not None]

    async def close(self, *, resumed: bool = False) -> None:
        """End this life by our own will: the endpoints first, then the session.

        ``resumed``: it will be continued, so the service keeps the names. A life that is ending already
        is waited for.
        """
        if self._farewell is not None and self._farewell is not asyncio.current_task():
            await asyncio.wait({self._farewell})
            return
        links, self._link = self._links(), None
        further, self._further = self._further, []
        established = self.established
        self._end(None)
        if established:
            self._emitter.disconnected(
                self.session, SessionClosed("not reconnecting, session closed by the agent")
            )
            self._emitter.disconnected(self.session, None)
            for each in further:
                self._emitter.disconnected(each.session, None)
        try:
            await self._tasks.close()
        finally:  # also when this is cancelled: nobody would say goodbye any more
            for link in links:
                link.leave(resumed=resumed)
        await asyncio.gather(*(link.close(resumed=resumed) for link in links))

    def _end(self, error: Exception | None) -> None:
        """Finish, once, all that hangs on this life."""
        if self.over:
            return
        self.over = True
        self._up.set()  # whoever waits for a session shall look again
        for bound in self.table.clear():
            bound.finish(error)
        for link in self._links():
            link.abort()
        self._link = None

    # -- endpoints

    async def bind(self, make: Make[E], options: EndpointOptions, request: Request) -> E:
        """Make an endpoint on the session, or on the next one while there is none.

        Raises Error when the service refuses, SessionClosed when the session ends over it. When
        cancelled, an endpoint that the service makes all the same is given up.
        """
        task = self._tasks.start(self._bind(make, options, request), name="agent bind")
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.add_done_callback(self._forget)
            raise
        if task.cancelled():
            raise NotConnected("the agent was disconnected")
        result = task.result()
        if isinstance(result, Exception):
            raise result.with_traceback(None)
        return result

    async def _bind(self, make: Make[E], options: EndpointOptions, request: Request) -> E | Exception:
        await self._up.wait()
        link, session = self._link, self.session
        if self.over or link is None or session is None:
            return NotConnected("the agent was disconnected, or refused for good")
        with self.table.binding():
            try:
                answer = await self._ask(link, request)
                _check(answer)
            except PortwayError as error:
                return error
            bound = Bound(
                agent=self.agent,
                emitter=self._emitter,
                options=options,
                request=request,
                answer=answer,
                session_id=session.id,
                with_portway=session.with_portway,
                unbind=self._unbind,
                patch=self._patch,
                start=self._start,
            )
            endpoint = make(bound)
            self.table.add(bound)
        for each in self._further:
            await each.bind(bound)
        self._log.info("endpoint online", extra={"url": bound.where, "id": endpoint.id})
        return endpoint

    async def _ask(self, link: Link, request: Request) -> BindResp:
        """Bind: what is resumed first, and anew if the service has given that up. Raises Error."""
        kept = self._resume.take(request) if self._resume else None
        if kept is not None:
            try:
                return await link.bind(kept)
            except Error as error:
                self._log.warning("an endpoint cannot be resumed and is made anew: %s", error)
        return await link.bind(request)

    def _forget(self, task: "asyncio.Task[E | Exception]") -> None:
        """Give up what a cancelled caller will never hold."""
        if task.cancelled() or self.over:
            return
        result = task.result()
        if isinstance(result, Endpoint):
            self._tasks.start(self._give_up(result), name="agent unbind")

    async def _give_up(self, endpoint: Endpoint) -> None:
        try:
            await endpoint.close()
        except Error as error:
            self._log.warning("%s could not be given up: %s", endpoint, error)

    async def _unbind(self, bound: Bound) -> None:
        """Tell the service that an endpoint is closed. Without a session there is nobody to tell."""
        if not self.table.remove(bound):
            return
        elsewhere = [each.unbind(bound) for each in self._further]
        if self._link is not None:
            await asyncio.gather(self._link.unbind(bound.id), *elsewhere)
        else:
            await asyncio.gather(*elsewhere)

    async def _patch(self, bound: Bound, change: Patch) -> None:
        """Change an endpoint on the session, or on the next one while there is none."""
        await self._up.wait()
        if bound.over.is_set() or self._link is None:
            raise ListenerClosed(f"{bound.where} is closed")
        await self._link.patch(change)

    def _start(self, work: Coroutine[object, object, None]) -> object:
        return self._tasks.start(work, name="upstream dial")

    # -- what the link tells

    def visitor(self, header: ProxyHeader, pipe: Pipe) -> Sink | None:
        """Find the endpoint of a visitor's connection."""
        return self.table.take(header, pipe)

    def stopped(self, order: StopTunnel) -> None:
        """End an endpoint that the service took away; it is not bound again."""
        bound = self.table.stop(order.id, Error(order.message, order.error_code))
        if bound is not None:
            self._log.warning("%s was stopped by the service: %s", bound.where, order.message)

    async def command(self, kind: int, body: bytes) -> CommandResp:
        """Have the application decide; one that agreed to stop or restart ends this life."""
        await self._up.wait()
        assert self.session is not None
        answer = await obey(self._options.rpc_handler, self.session, kind, body, self._log)
        if not (answer.error or self.over or kind == StreamType.UPDATE):
            farewell = self.close(resumed=kind == StreamType.RESTART)
            # It begins when the answer is on its way.
            self._farewell = self._tasks.start(farewell, name="agent farewell")
        return answer

    def heartbeat(self, link: Link, latency: float) -> None:
        """Note the latency and pass the news on."""
        if link is self._link and self.session is not None:
            self.session.latency = latency
            self._emitter.heartbeat(self.session, latency)


def _check(answer: BindResp) -> None:
    """Refuse an answer that we could not serve."""
    known = answer.id if answer.proto == LABELED else answer.proto in PROTOS and answer.url
    if not known:
        raise ConnectError("muxado", f"the service answered a bind with proto {answer.proto!r}")
