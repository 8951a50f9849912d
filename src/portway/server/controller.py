"""The controller: the child process that owns the store.

Started by the service as ``python -m portway.server.controller --fd N --data-dir DIR``, it speaks the
messages of ``channel.py`` over descriptor N. It brings the store up to date, answers one request at
a time, and looks every half second whether somebody else, such as ``portway admin``, has changed
something that the service must hear of. It ends when its channel does, and not by the signals that
a terminal or a service manager sends to the whole group: the service still writes while it stops.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from portway.control.certificates.seal import KEY_FILE, Seal
from portway.control.live import LiveDirectory
from portway.control.measures import ControlNumbers
from portway.control.service import (
    credentials,
    edge_secrets,
    first_start,
    ip_restrictions,
    reservations,
    ssh_credentials,
    tls_certificates,
)
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.service.view import Follower
from portway.control.store import tls_certificates as tls_store
from portway.control.store.database import Database, open_database
from portway.edge.issuers import Issuers
from portway.errors import ConfigError, Error, RefusedSession, StoreUnavailable
from portway.model.entities import Grant
from portway.model.live import LiveNote
from portway.model.view import ViewItem
from portway.net.loop import run
from portway.net.tasks import Tasks
from portway.net.web_client import WebClient
from portway.server import api, facts, logs, where
from portway.server.agents import RemoteAgents
from portway.server.channel import NUMBERS, Channel, arguments, away
from portway.server.config import ControlConfig, LogConfig
from portway.server.deliveries import EventOffice, guard_of
from portway.server.event_feed import EVENTS, FLUSH_EVENTS
from portway.server.identity_requests import IdentityRequests
from portway.server.orphan import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portway.control.certificates.local_ca import LocalAuthority

REACH_AGAIN: Final = 1.0
"""Seconds until a database server that could not be reached is tried again, when the service starts."""

DESTINATIONS_AT_ONCE: Final = 1000
"""Event destinations that are sent to at a time."""
EXPIRIES: Final = 1000
"""Certificates whose end is told of; those that end first."""
FINISH: Final = 2.0
"""Seconds for the requests that had arrived when the channel was closed."""

EX_CONFIG: Final = 78
"""Exit status when starting again cannot help (sysexits.h)."""

_log = logging.getLogger(__name__)


class View(msgspec.Struct):
    """A page of the snapshot: the number up to which all is known, and a cursor."""

    after: int | None = None
    cursor: str = ""


class Authenticate(msgspec.Struct):
    """An authtoken as presented, and from where."""

    token: str
    source: str


class AuthenticateKey(msgspec.Struct):
    """A public key by its fingerprint, and from where it is offered."""

    fingerprint: str
    source: str


class Reserve(msgspec.Struct):
    """A name that is online."""

    url: str
    account_id: str
    session_key: str


class Hold(msgspec.Struct):
    """A name that waits for its session."""

    url: str
    until: float


class Name(msgspec.Struct):
    """A URL or a host."""

    name: str


class Subject(msgspec.Struct):
    """Something with this identifier."""

    id: str


class Kept(msgspec.Struct):
    """The secrets of the former bootstrap file."""

    authtoken: str | None
    api_key: str | None


class Controller:
    """Answers the requests of one service."""

    def __init__(self, context: Context, data_dir: Path, events: EventOffice | None = None) -> None:
        """Join the store, the data folder, and whoever sends events."""
        self._context = context
        self._data_dir = data_dir
        self._events = events
        self._authority: LocalAuthority | None = None
        self.channel: Channel | None = None
        self.follower = Follower(context, self._told)
        self._table: dict[str, Callable[[msgspec.Raw], Awaitable[object]]] = {
            "view": self._view,
            "caught_up": self._caught_up,
            "bootstrap": self._bootstrap,
            "authenticate": self._authenticate,
            "authenticate_key": self._authenticate_key,
            "reserve": self._reserve,
            "hold": self._hold,
            "release": self._release,
            "reservations": self._reservations,
            "certificate": self._certificate,
            "certificate_key": self._certificate_key,
            NUMBERS: self._numbers,
            **({} if events is None else events.table()),
            **IdentityRequests(context).table(),
        }

    async def handle(self, do: str, args: msgspec.Raw) -> object:
        """Carry one request out. Raises Error."""
        method = self._table.get(do)
        if method is None:
            raise Error(f"The control plane knows no request {do!r}.")
        try:
            return await method(args)
        except StoreUnavailable as error:
            raise away() from error

    def noted(self, do: str, args: msgspec.Raw) -> None:
        """Take a note of the service."""
        if do == "live":
            self._context.live.apply(arguments(args, LiveNote))

    async def _view(self, args: msgspec.Raw) -> object:
        asked = arguments(args, View)
        return await self.follower.page(asked.after, asked.cursor)

    async def _caught_up(self, _args: msgspec.Raw) -> object:
        await self.follower.catch_up()
        return None

    def _told(self, seq: int, items: Sequence[ViewItem]) -> None:
        """Send what changed in the data plane's view."""
        if self.channel is not None:
            self.channel.note("view", {"seq": seq, "items": items})

    async def _bootstrap(self, args: msgspec.Raw) -> object:
        kept = arguments(args, Kept)
        made = await first_start.secrets_for_bootstrap(
            self._context, first_start.Secrets(kept.authtoken, kept.api_key)
        )
        return {"authtoken": made.authtoken, "api_key": made.api_key, "fresh": made.fresh}

    async def _authenticate(self, args: msgspec.Raw) -> object:
        asked = arguments(args, Authenticate)
        grant = await credentials.authenticate(self._context, asked.token)
        await self._check_source(grant, asked.source)
        return grant

    async def _check_source(self, grant: Grant, source: str) -> None:
        """Refuse a source that the account does not let in; say whose session it would have been."""
        try:
            await ip_restrictions.check_agent(self._context, grant.account_id, source)
        except Error as error:
            raise RefusedSession(error.message, error.code, grant.account_id, grant.credential_id) from error

    async def _authenticate_key(self, args: msgspec.Raw) -> object:
        asked = arguments(args, AuthenticateKey)
        grant = await ssh_credentials.authenticate(self._context, asked.fingerprint)
        await self._check_source(grant, asked.source)
        return grant

    async def _reserve(self, args: msgspec.Raw) -> object:
        asked = arguments(args, Reserve)
        await reservations.reserve(self._context, asked.url, asked.account_id, asked.session_key)
        return None

    async def _hold(self, args: msgspec.Raw) -> object:
        asked = arguments(args, Hold)
        await reservations.hold(self._context, asked.url, asked.until)
        return None

    async def _release(self, args: msgspec.Raw) -> object:
        await reservations.release(self._context, arguments(args, Name).name)
        return None

    async def _reservations(self, _args: msgspec.Raw) -> object:
        return await reservations.standing(self._context)

    async def _certificate(self, args: msgspec.Raw) -> object:
        name = arguments(args, Name).name
        now = self._context.now()
        if self._authority is None:
            # X.509 is large, and a service is seldom asked for a name that its certificate has not.
            from portway.control.certificates.local_ca import load_or_make

            self._authority = load_or_make(self._data_dir, now)
        issued = self._authority.issue([name], now)
        return {"chain": issued.chain.decode(), "key": issued.key.decode()}

    async def _certificate_key(self, args: msgspec.Raw) -> object:
        chain, key = await tls_certificates.key_pair(self._context, arguments(args, Subject).id)
        return {"chain": chain, "key": key}

    async def _numbers(self, _args: msgspec.Raw) -> object:
        """Tell what was counted; a store that is away has nothing else to tell."""
        context = self._context
        told = ControlNumbers(api=context.measures, store=context.database.measures)
        if self._events is not None:
            told.destinations = self._events.states()
        with suppress(StoreUnavailable):
            async with context.database.read() as connection:
                told.expiries = await tls_store.expiring(connection, EXPIRIES)
        return told


async def _seal_standing(context: Context) -> None:
    """Seal what an older version has kept open; what cannot be sealed now stays, and can be used."""
    try:
        await edge_secrets.seal_standing(context)
    except Error as error:
        _log.warning("secrets of routes that an older version has written stay open: %s", error.message)


async def serve(
    connection: socket.socket, data_dir: Path, settings: Settings | None = None, api_fd: int | None = None
) -> None:
    """Serve one channel until it is lost; ``settings`` is what the service told of itself.

    ``api_fd`` is the listening socket of the API; None: no API.

    Raises ConfigError when the store cannot be used.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    config = ControlConfig(data_dir, os.environ.get(where.VARIABLE, ""))
    async with AsyncExitStack() as stack, Tasks() as tasks:
        database = await _store(stack, config)
        live, agents, events = LiveDirectory(known=False), RemoteAgents(), EventOffice()
        issuers = Issuers(None, loop.time)
        context = Context(
            database,
            now=time.time,
            settings=settings or Settings(),
            live=live,
            seal=Seal(data_dir / KEY_FILE),
            agents=agents,
            deliveries=events,
            issuers=issuers,
        )
        if settings is not None:
            facts.keep(data_dir, settings)
        controller = Controller(context, data_dir, events)
        beside = {EVENTS, FLUSH_EVENTS, NUMBERS}
        channel = agents.channel = Channel(controller.handle, controller.noted, ended.set, beside=beside)
        await loop.create_unix_connection(lambda: channel, sock=connection)
        controller.channel = channel
        following = tasks.start(controller.follower.run(), name="changes")
        # A crash of that task is logged by its owner; then the service starts us anew.
        following.add_done_callback(lambda _task: ended.set())
        # Each destination has one request under way: those that hang must not keep others from their turn.
        client = WebClient(guard_of(context.settings), at_once=DESTINATIONS_AT_ONCE)
        issuers.web = client
        tasks.start(events.run(context, client, data_dir), name="events")
        if api_fd is not None:
            tasks.start(api.keep_serving(context, api_fd), name="API")
        tasks.start(_seal_standing(context), name="secrets of routes")
        await ended.wait()
        await channel.finish(FINISH)
        await channel.close()


async def _store(stack: AsyncExitStack, config: ControlConfig) -> Database:
    """Open the store; a database server that cannot be reached now is waited for. Raises ConfigError."""
    while True:
        try:
            database = await stack.enter_async_context(open_database(config.database))
        except StoreUnavailable:
            await asyncio.sleep(REACH_AGAIN)
        else:
            with suppress(OSError):  # a folder that cannot be written to now; it is only for a clear error
                where.remember(config.data_dir, config.database_url)
            return database


def main(argv: list[str] | None = None) -> int:
    """Run the controller; return its exit status."""
    parser = argparse.ArgumentParser(prog="portway.server.controller")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--api-fd", type=int, help="listening socket of the API, which the service publishes")
    parser.add_argument("--settings", help="what the service knows of itself, JSON")
    parser.add_argument("--log-format", default="text")
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args(argv)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    connection = socket.socket(fileno=options.fd)
    die_with_parent(connection)
    log = logs.start(LogConfig(options.log_format, options.log_level, access=False))
    try:
        settings = facts.read(options.settings) if options.settings else None
        run(serve(connection, options.data_dir, settings, options.api_fd))
    except ConfigError as error:
        _log.critical("%s", error)
        return EX_CONFIG
    finally:
        log.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
