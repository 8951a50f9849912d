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
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from portway.control.certificates import local_ca
from portway.control.service import credentials, first_start, reservations
from portway.control.service.context import Context
from portway.control.service.settings import Settings
from portway.control.service.view import Follower
from portway.control.store import changes
from portway.control.store import view as view_rows
from portway.control.store.database import open_database
from portway.errors import ConfigError, Error
from portway.model.view import ViewItem
from portway.net.loop import run
from portway.net.tasks import Tasks
from portway.server import facts, logs
from portway.server.channel import Channel, arguments
from portway.server.config import ControlConfig, LogConfig
from portway.server.orphan import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POLL: Final = 0.5
"""Seconds between two looks at the changes: the service follows within one second."""

FINISH: Final = 2.0
"""Seconds for the requests that had arrived when the channel was closed."""

EX_CONFIG: Final = 78
"""Exit status when starting again cannot help (sysexits.h)."""

_log = logging.getLogger(__name__)


class Follow(msgspec.Struct):
    """From which change on to tell; None: from the newest."""

    after: int | None


class View(msgspec.Struct):
    """A page of the snapshot: the number up to which all is known, and a cursor."""

    after: int | None = None
    cursor: str = ""


class Authenticate(msgspec.Struct):
    """An authtoken as presented, and from where."""

    token: str
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


class Kept(msgspec.Struct):
    """The secrets of the former bootstrap file."""

    authtoken: str | None
    api_key: str | None


class Controller:
    """Answers the requests of one service."""

    def __init__(self, context: Context, data_dir: Path) -> None:
        """Join the store and the data folder."""
        self._context = context
        self._data_dir = data_dir
        self._authority: local_ca.LocalAuthority | None = None
        self.channel: Channel | None = None
        self.follower = Follower(context, self._told)
        self._seq = 0
        self._following = asyncio.Event()
        self._table: dict[str, Callable[[msgspec.Raw], Awaitable[object]]] = {
            "follow": self._follow,
            "view": self._view,
            "bootstrap": self._bootstrap,
            "authenticate": self._authenticate,
            "reserve": self._reserve,
            "hold": self._hold,
            "release": self._release,
            "reservations": self._reservations,
            "certificate": self._certificate,
        }

    async def handle(self, do: str, args: msgspec.Raw) -> object:
        """Carry one request out. Raises Error."""
        method = self._table.get(do)
        if method is None:
            raise Error(f"The control plane knows no request {do!r}.")
        return await method(args)

    async def tell(self, channel: Channel) -> None:
        """Tell the service of changes, for ever."""
        await self._following.wait()
        while True:
            async with self._context.database.read() as connection:
                fresh = await changes.after(connection, self._seq)
            for change in fresh:
                self._seq = change.seq
                if change.kind == changes.CREDENTIAL and await self._is_gone(change):
                    channel.note("revoked", {"seq": change.seq, "credential_id": change.subject_id})
            await asyncio.sleep(POLL)

    async def _is_gone(self, change: changes.Change) -> bool:
        async with self._context.database.read() as connection:
            return (await view_rows.rows_of(connection, [change]))[0].gone

    async def _view(self, args: msgspec.Raw) -> object:
        asked = arguments(args, View)
        return await self.follower.page(asked.after, asked.cursor)

    def _told(self, seq: int, items: Sequence[ViewItem]) -> None:
        """Send what changed in the data plane's view."""
        if self.channel is not None:
            self.channel.note("view", {"seq": seq, "items": items})

    async def _follow(self, args: msgspec.Raw) -> object:
        after = arguments(args, Follow).after
        async with self._context.database.read() as connection:
            newest = await changes.last(connection)
        self._seq = newest if after is None else after
        self._following.set()
        return {"seq": self._seq}

    async def _bootstrap(self, args: msgspec.Raw) -> object:
        kept = arguments(args, Kept)
        made = await first_start.secrets_for_bootstrap(
            self._context, first_start.Secrets(kept.authtoken, kept.api_key)
        )
        return {"authtoken": made.authtoken, "api_key": made.api_key, "fresh": made.fresh}

    async def _authenticate(self, args: msgspec.Raw) -> object:
        return await credentials.authenticate(self._context, arguments(args, Authenticate).token)

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
            self._authority = local_ca.load_or_make(self._data_dir, now)
        issued = self._authority.issue([name], now)
        return {"chain": issued.chain.decode(), "key": issued.key.decode()}


async def serve(connection: socket.socket, data_dir: Path, settings: Settings | None = None) -> None:
    """Serve one channel until it is lost; ``settings`` is what the service told of itself.

    Raises ConfigError when the store cannot be used.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    async with open_database(ControlConfig(data_dir).database) as database, Tasks() as tasks:
        controller = Controller(Context(database, now=time.time, settings=settings or Settings()), data_dir)
        channel = Channel(controller.handle, lambda _do, _args: None, ended.set)
        await loop.create_unix_connection(lambda: channel, sock=connection)
        controller.channel = channel
        telling = tasks.start(controller.tell(channel), name="changes")
        following = tasks.start(controller.follower.run(), name="view")
        for each in (telling, following):
            # A crash of these tasks is logged by their owner; then the service starts us anew.
            each.add_done_callback(lambda _task: ended.set())
        await ended.wait()
        await channel.finish(FINISH)
        await channel.close()


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
        run(serve(connection, options.data_dir, settings))
    except ConfigError as error:
        _log.critical("%s", error)
        return EX_CONFIG
    finally:
        log.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
