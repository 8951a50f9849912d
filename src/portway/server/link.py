"""The data plane's end of the control plane: spawns the controller, asks it, starts it anew.

`ControllerLink` is the edge's ``Control``. A call made while the controller is away waits for it, up
to the deadline of calls; a call that was under way when it died fails with Error 128. Sessions that
stand are not touched by any of this. What the edge must know of the store it reads from ``view``, which
the controller's snapshot and notes keep equal to it (``view_feed.py``): nothing is missed while the
controller was away, and credentials that are gone from it are told as revoked. A controller that hangs
is killed: an agent waits for an answer to Auth for about 15 s, so another one must be there before.
"""

import asyncio
import contextlib
import logging
import random
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from portway.control.measures import ControlNumbers
from portway.control.service.settings import Settings as ControlSettings
from portway.edge.ports import CertificatePem, Revoked
from portway.edge.view import View
from portway.errors import ConfigError, Error, PortwayError
from portway.model.domain import ServiceNames
from portway.model.entities import Grant, Reservation
from portway.model.view import CredentialItem, SshKeyItem, ViewItem
from portway.net.tasks import Tasks
from portway.server import facts, where
from portway.server.channel import CALL_TIMEOUT, NUMBERS, PENDING_LIMIT, PING, Channel, away
from portway.server.config import ServeConfig
from portway.server.directory import COMMAND, Directory
from portway.server.event_feed import FLUSH_EVENTS, EventFeed
from portway.server.view_feed import ViewFeed

T = TypeVar("T")

FIRST_DELAY: Final = 0.1
DELAY_CAP: Final = 5.0
"""Seconds until a dead controller is started again: the first, doubled each time, jittered, the last."""
START_TIMEOUT: Final = 60.0
"""Seconds that a controller may take until it answers: a migration may be long."""
STOP_TIMEOUT: Final = 3.0
"""Seconds that a controller may take to end once its channel is closed."""
LOOK: Final = 2.0
"""Seconds between two looks whether the controller still lives."""
CATCH_UP: Final = 2.0
"""Seconds that a bind which would be refused waits for what may just have been changed."""
HUNG: Final = 5.0
"""Seconds without an answer to that after which it is killed."""
HAND_OVER: Final = 2.0
"""Seconds for events that wait for the controller when the service stops."""
FLUSH: Final = 8.0
"""Seconds for events that wait for their receivers then."""
EX_CONFIG: Final = 78

_log = logging.getLogger(__name__)


class Secrets(msgspec.Struct):
    """The secrets of the bootstrap file; None: nobody knows them any more."""

    authtoken: str | None = None
    api_key: str | None = None
    fresh: bool = False

    def __repr__(self) -> str:
        """Tell what is there, never the secrets."""
        return f"Secrets(authtoken={bool(self.authtoken)}, api_key={bool(self.api_key)}, fresh={self.fresh})"


class _Pem(msgspec.Struct):
    chain: str
    key: str


class ControllerLink:
    """The control plane as the data plane sees it. ``start`` and ``stop`` it once each."""

    def __init__(
        self, config: ServeConfig, directory: Directory | None = None, events: EventFeed | None = None
    ) -> None:
        """Take the configuration, what is online here and what happens, if anybody knows.

        Nothing runs before ``start``.
        """
        self._events = events
        self._directory = directory
        self._config = config
        self._tasks = Tasks()
        self._channel: Channel | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self._up = asyncio.Event()
        self._ready: asyncio.Future[None] | None = None
        self._api: int | None = None
        self._settings: ControlSettings | None = None
        self._waiting = 0
        self._callbacks: list[Callable[[Revoked], None]] = []
        self._asking = 0
        self._gone: set[str] = set()
        """Credentials that ended while some token is being judged."""
        self.view = View(ServiceNames(config.edge.domain, config.edge.tcp_host, config.edge.auth_host))
        self._feed = ViewFeed(self.view)
        self._telling: list[asyncio.Task[None]] = []
        """What is told to and by the controller that runs now."""
        self.view.on_change(self._told)
        self.starts = 0
        self.pid = 0

    def __repr__(self) -> str:
        """Show whether the controller answers."""
        state = "up" if self._up.is_set() else "away"
        return f"<ControllerLink {state} pid={self.pid} starts={self.starts} waiting={self._waiting}>"

    def start(self, api: int | None = None, settings: ControlSettings | None = None) -> None:
        """Start the controller; it is not waited for.

        ``api`` is the descriptor of the listening socket on which every controller serves the API. It
        stays the caller's and must stay open until ``stop``: connections wait in its backlog meanwhile.
        ``settings`` is what the controller is told of this service; None: the defaults.
        """
        self._api = api
        self._settings = settings
        self._ready = asyncio.get_running_loop().create_future()
        self._running = self._tasks.start(self._keep_running(), name="controller")

    async def stop(self) -> None:
        """End the controller: what was sent is done first. Nothing happens if it was never started."""
        self._stopping = True
        if self._channel is not None and self._running is not None:
            await self._channel.close()
            await asyncio.wait({self._running}, timeout=STOP_TIMEOUT + 1)
        await self._tasks.close()
        if self._ready is not None and not self._ready.cancel() and not self._ready.cancelled():
            self._ready.exception()  # it may be that nobody asked

    @property
    def is_up(self) -> bool:
        """Whether the controller answers now."""
        return self._up.is_set()

    async def numbers(self) -> ControlNumbers | None:
        """Return what the controller has counted; None while it is away."""
        if not self._up.is_set() or self._channel is None:
            return None
        try:
            return await self._channel.call(NUMBERS, {}, ControlNumbers, timeout=LOOK)
        except Error:
            return None

    async def flush_events(self) -> None:
        """Have the controller send what waits, for some seconds; nothing if it is away."""
        if self._events is None or not self._up.is_set() or self._channel is None:
            return
        await self._events.flush(HAND_OVER)
        with contextlib.suppress(Error):
            await self._channel.call(FLUSH_EVENTS, {}, type(None), timeout=FLUSH)

    async def ready(self) -> None:
        """Wait until the controller answers for the first time.

        Raises ConfigError when the store cannot be used: starting it again would not help.
        """
        assert self._ready is not None, "the link was not started"
        await asyncio.shield(self._ready)

    # The edge's ``Control``.

    async def authenticate(self, token: str, source: str) -> Grant:
        """Check an authtoken. Raises Error 4018, 105, 107 or 128."""
        self._asking += 1
        try:
            grant = await self._call("authenticate", {"token": token, "source": source}, Grant)
            if grant.credential_id in self._gone:  # a note came between the answer and us
                raise Error("The authtoken was revoked.", 107)
        finally:
            self._asking -= 1
            if not self._asking:
                self._gone.clear()
        self.view.learn(CredentialItem(grant.credential_id, grant.account_id, grant.acl))
        return grant

    async def authenticate_key(self, fingerprint: str, source: str) -> Grant:
        """Find the owner of an SSH key. Raises Error 1102, 1103 or 128."""
        self._asking += 1
        try:
            args = {"fingerprint": fingerprint, "source": source}
            grant = await self._call("authenticate_key", args, Grant)
            if grant.credential_id in self._gone:  # a note came between the answer and us
                raise Error("No account of this service has this SSH key any more.", 1102)
        finally:
            self._asking -= 1
            if not self._asking:
                self._gone.clear()
        self.view.learn(SshKeyItem(grant.credential_id, grant.account_id, grant.acl))
        return grant

    async def reserve(self, url: str, account_id: str, session_key: str) -> None:
        """Write down that a name is online. Raises Error."""
        await self._do("reserve", {"url": url, "account_id": account_id, "session_key": session_key})

    async def hold(self, url: str, until: float) -> None:
        """Write down that a name is kept until then. Raises Error."""
        await self._do("hold", {"url": url, "until": until})

    async def release(self, url: str) -> None:
        """Forget a name. Raises Error."""
        await self._do("release", {"name": url})

    async def reservations(self) -> list[Reservation]:
        """Return all names that still stand. Raises Error."""
        return await self._call("reservations", {}, list[Reservation])

    async def certificate(self, name: str) -> CertificatePem:
        """Return a fresh certificate of the local authority. Raises Error."""
        issued = await self._call("certificate", {"name": name}, _Pem)
        return CertificatePem(issued.chain.encode(), issued.key.encode())

    async def certificate_key(self, certificate_id: str) -> CertificatePem:
        """Return an uploaded certificate with its key. Raises Error."""
        found = await self._call("certificate_key", {"id": certificate_id}, _Pem)
        return CertificatePem(found.chain.encode(), found.key.encode())

    async def caught_up(self) -> None:
        """Wait until the view has all that is committed by now, or the control plane cannot tell soon."""
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                await self._do("caught_up", {})

    def on_revoked(self, callback: Callable[[Revoked], None]) -> None:
        """Call back for every credential that ends."""
        self._callbacks.append(callback)

    # For the bootstrap.

    async def bootstrap(self, authtoken: str | None, api_key: str | None) -> Secrets:
        """Return the secrets for the bootstrap file, made if the store is empty. Raises Error."""
        return await self._call("bootstrap", {"authtoken": authtoken, "api_key": api_key}, Secrets)

    # Calls.

    async def ask(self, do: str, args: Mapping[str, object], into: type[T]) -> T:
        """Have the controller answer a request. Raises Error."""
        return await self._call(do, args, into)

    async def _do(self, do: str, args: Mapping[str, object]) -> None:
        await self._call(do, args, type(None))

    async def _call(self, do: str, args: Mapping[str, object], into: type[T]) -> T:
        channel = self._channel if self._up.is_set() else await self._when_up()
        if channel is None:
            raise away()
        return await channel.call(do, args, into)

    async def _when_up(self) -> Channel | None:
        """Wait for the controller, within the deadline and the bound of calls."""
        if self._waiting >= PENDING_LIMIT:
            raise away()
        self._waiting += 1
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                await self._up.wait()
        except TimeoutError:
            raise away() from None
        finally:
            self._waiting -= 1
        return self._channel

    def _noted(self, do: str, args: msgspec.Raw) -> None:
        if do == "view":
            self._feed.noted(args)

    def _told(self, item: ViewItem, _before: ViewItem | None) -> None:
        """Hear of a row that changed: a credential that is gone was revoked."""
        if item.gone and isinstance(item, CredentialItem | SshKeyItem):
            if self._asking:
                self._gone.add(item.id)
            for callback in self._callbacks:
                callback(Revoked(credential_id=item.id))

    # The process.

    async def _keep_running(self) -> None:
        """Run one controller after the other."""
        delay = FIRST_DELAY
        while not self._stopping:
            status, answered = await self._run_once()
            if self._stopping:
                return
            if status == EX_CONFIG and not answered and self._fail():
                return
            delay = FIRST_DELAY if answered else min(delay * 2, DELAY_CAP)
            pause = delay * random.uniform(0.75, 1.25)
            _log.error("controller ended with status %s; it starts again in %.1f s", status, pause)
            await asyncio.sleep(pause)

    def _fail(self) -> bool:
        """Give up if no controller ever answered: the start fails and says why (it has been logged)."""
        assert self._ready is not None
        if self._ready.done():
            return False
        self._ready.set_exception(ConfigError("The store cannot be used; the controller's message says why."))
        return True

    async def _run_once(self) -> tuple[int | None, bool]:
        """Run one controller to its end; return its exit status and whether it ever answered."""
        lost = asyncio.Event()

        def gone() -> None:
            self._up.clear()  # calls made from now on wait for the next controller
            lost.set()

        answer = self._directory.handle if self._directory else _nothing_to_answer
        channel = Channel(answer, self._noted, gone, beside={COMMAND})
        try:
            process = await self._spawn(channel)
        except OSError as error:  # no process or descriptor to be had now: that passes
            _log.error("the controller cannot be started: %s", error)
            return None, False
        answered = False
        try:
            answered = await self._join(channel, lost)
            if answered and self._directory is not None:
                telling = self._directory.tell(channel)
                self._telling.append(self._tasks.start(telling, name="what is online"))
            if answered and self._events is not None:
                self._telling.append(self._tasks.start(self._events.tell(channel), name="events"))
            await _until_lost(channel, process, lost)
        except asyncio.CancelledError:
            if not answered:
                process.kill()  # it was still starting: there is nothing to finish
            raise
        finally:
            self._up.clear()
            self._channel = None
            while self._telling:
                self._telling.pop().cancel()
            await channel.close()
            await _ended(process)
        return process.returncode, answered

    async def _join(self, channel: Channel, lost: asyncio.Event) -> bool:
        """Wait until the controller begins to tell what the store holds; then let calls through."""
        try:
            cursor = await self._feed.begin(channel, START_TIMEOUT)
        except PortwayError:
            lost.set()
            return False
        self._telling.append(self._tasks.start(self._feed.load(channel, cursor, lost), name="view"))
        self._channel = channel
        self._up.set()
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        return True

    async def _spawn(self, channel: Channel) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair()
        log = self._config.log
        api = () if self._api is None else (self._api,)
        settings = () if self._settings is None else (facts.written(self._settings),)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "portway.server.controller",
                "--fd", str(theirs.fileno()), "--data-dir", str(self._config.data_dir),
                "--log-format", log.format, "--log-level", log.level,
                *(f"--api-fd={each}" for each in api), *(f"--settings={each}" for each in settings),
                pass_fds=(theirs.fileno(), *api), env=where.environment(self._config.control.database_url),
                stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=ours)
        self.starts += 1
        self.pid = process.pid
        return process


async def _nothing_to_answer(do: str, _args: msgspec.Raw) -> object:
    raise Error(f"The data plane knows no request {do!r}.")


async def _until_lost(channel: Channel, process: asyncio.subprocess.Process, lost: asyncio.Event) -> None:
    """Wait until the controller is gone. One that hangs is killed, and so is gone."""
    clock = asyncio.get_running_loop().time
    while not lost.is_set():
        asked = clock()
        try:
            await channel.call(PING, {}, type(None), timeout=HUNG)
        except Error:
            if not lost.is_set() and clock() - asked >= HUNG:  # else there was only no room for one more call
                _log.error("the controller has not answered for %g s: it is killed", HUNG)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await lost.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await lost.wait()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a process whose channel is closed; kill it if it lingers."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
