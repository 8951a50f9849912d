"""Messages over a socket pair: requests with answers, both ways, and notes without.

A message is four bytes of length, big-endian, then one JSON object::

    {"id": 7, "do": "authenticate", "args": {…}}      a request
    {"id": 7, "ok": …}                                its answer
    {"id": 7, "error": {"message": "…", "code": "ERR_NGROK_107"}}
    {"do": "view", "args": {…}}                       a note: nobody answers

Each side numbers its own requests. Incoming requests are handled one after the other, so their
effects keep their order. Two kinds are not: a ping is answered at once, as it asks whether the process
lives, not whether its work is done; and requests that a side names as such, because they wait for
somebody far away, are handled beside the others. Everything is bounded: the size of a message, the
requests that wait to be handled or are, and the requests that wait for an answer. When the channel is
lost every call that waits fails with Error 128, *temporary failure*.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeVar, cast

import msgspec

from portway.errors import Error, RefusedSession
from portway.net.tasks import Tasks

T = TypeVar("T")

_log = logging.getLogger(__name__)

MESSAGE_LIMIT: Final = 4 << 20
"""Bytes of one message."""
PENDING_LIMIT: Final = 4096
"""Requests, in one direction, that wait to be handled or answered."""
BUFFER_LIMIT: Final = 16 << 20
"""Bytes that wait to be written. A peer that stopped reading loses the channel."""
BESIDE_LIMIT: Final = 64
"""Requests that are handled beside the others at a time."""
CALL_TIMEOUT: Final = 10.0
"""Seconds for an answer."""
PING: Final = "ping"
"""A request that every channel answers by itself."""
NUMBERS: Final = "numbers"
"""The request what the control plane has counted. The controller handles it beside the others."""
AWAY: Final = 128
"""Code of a temporary failure."""

Args = Mapping[str, object]
Handle = Callable[[str, msgspec.Raw], Awaitable[object]]
Note = Callable[[str, msgspec.Raw], None]


class _Failure(msgspec.Struct, omit_defaults=True):
    message: str
    code: str = ""
    account_id: str = ""
    credential_id: str = ""

    def error(self) -> Error:
        """Make the error that it was."""
        if not self.account_id:
            return Error(self.message, self.code)
        return RefusedSession(self.message, self.code, self.account_id, self.credential_id)


class _Message(msgspec.Struct, omit_defaults=True):
    id: int = 0
    do: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")
    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: _Failure | None = None


_decode = msgspec.json.Decoder(_Message).decode


def away() -> Error:
    """Make the error of a call that could not be answered now."""
    return Error("The control plane cannot answer now; try again in a moment.", AWAY)


def arguments(raw: msgspec.Raw, into: type[T]) -> T:
    """Read arguments into a struct or dataclass. Raises Error when they do not fit."""
    try:
        return msgspec.json.decode(raw, type=into)
    except msgspec.MsgspecError as error:
        raise Error(f"The message does not fit {into.__name__}: {error}") from error


class Channel(asyncio.Protocol):
    """One end. ``handle`` answers requests, ``note`` hears notes, ``lost`` is called once, last."""

    def __init__(
        self, handle: Handle, note: Note, lost: Callable[[], None], *, beside: Collection[str] = ()
    ) -> None:
        """Take the three callbacks; the channel opens when its transport connects.

        ``beside`` names the requests that need not wait for those before them.
        """
        self._beside = frozenset(beside)
        self._running = 0
        self._handle = handle
        self._note = note
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._last_id = 0
        self._requests: asyncio.Queue[_Message] = asyncio.Queue(PENDING_LIMIT)
        self._tasks = Tasks()

    def __repr__(self) -> str:
        """Show whether it is open and what waits."""
        state = "open" if self._transport else "closed"
        return f"<Channel {state} waiting={len(self._waiting)} to_do={self._requests.qsize()}>"

    async def call(self, do: str, args: Args, into: type[T], *, timeout: float = CALL_TIMEOUT) -> T:
        """Send a request and return its answer.

        Raises Error: what the other side refused with, or 128 when it is away, busy or late.
        Cancelled: the request may still be carried out.
        """
        if self._transport is None or len(self._waiting) >= PENDING_LIMIT:
            raise away()
        self._last_id += 1
        number = self._last_id
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "do": do, "args": args})
            async with asyncio.timeout(timeout):
                return arguments(await answer, into)
        except TimeoutError:
            raise away() from None
        finally:
            self._waiting.pop(number, None)

    def note(self, do: str, args: Args) -> None:
        """Send a note. One sent on a lost channel is lost too."""
        self._send({"do": do, "args": args})

    async def finish(self, timeout: float) -> None:
        """Wait until every request that has arrived is handled, at most some seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._requests.join()
        except TimeoutError:
            _log.error("the last requests were not handled in time: %r", self)

    async def close(self) -> None:
        """Close: what was sent is written first, calls that wait fail. Idempotent."""
        if self._transport is not None:
            self._transport.close()
        await self._tasks.close()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start handling requests."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._tasks.start(self._serve(), name="channel requests")

    def data_received(self, data: bytes) -> None:
        """Take every message that is whole now."""
        self._received += data
        start = 0
        while len(self._received) - start >= 4:
            size = int.from_bytes(self._received[start : start + 4], "big")
            if size > MESSAGE_LIMIT:
                self._abort(f"a message of {size} bytes")
                return
            if len(self._received) - start - 4 < size:
                break
            self._take(bytes(self._received[start + 4 : start + 4 + size]))
            start += 4 + size
        del self._received[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what waits and say so."""
        self._transport = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(away())
                answer.exception()  # a caller that was cancelled does not fetch it
        self._lost()

    # Messages.

    def _take(self, data: bytes) -> None:
        try:
            message = _decode(data)
        except msgspec.MsgspecError as error:
            self._abort(f"a message that is no message: {error}")
            return
        if not message.do:
            self._answered(message)
        elif not message.id:
            self._note(message.do, message.args)
        elif message.do == PING:
            self._send({"id": message.id, "ok": None})
        elif message.do in self._beside:
            self._start_beside(message)
        else:
            try:
                self._requests.put_nowait(message)
            except asyncio.QueueFull:
                self._refuse(message.id, away())

    def _answered(self, message: _Message) -> None:
        answer = self._waiting.get(message.id)
        if answer is None or answer.done():
            return  # it came too late
        if message.error is None:
            answer.set_result(message.ok)
        else:
            answer.set_exception(message.error.error())

    async def _serve(self) -> None:
        """Answer requests in their order."""
        while True:
            message = await self._requests.get()
            await self._carry_out(message)
            self._requests.task_done()

    def _start_beside(self, message: _Message) -> None:
        if self._running >= BESIDE_LIMIT:
            self._refuse(message.id, away())
            return
        self._running += 1
        self._tasks.start(self._carry_out_beside(message), name=f"request {message.do}")

    async def _carry_out_beside(self, message: _Message) -> None:
        try:
            await self._carry_out(message)
        finally:
            self._running -= 1

    async def _carry_out(self, message: _Message) -> None:
        try:
            result = await self._handle(message.do, message.args)
        except Error as error:
            self._refuse(message.id, error)
        except Exception:  # noqa: BLE001 - one request's fault must not end the control plane; it is logged whole
            _log.exception("request %s failed", message.do)
            self._refuse(message.id, away())
        else:
            self._send({"id": message.id, "ok": result})

    def _refuse(self, number: int, error: Error) -> None:
        failure = _Failure(error.message, error.code)
        if isinstance(error, RefusedSession):
            failure.account_id, failure.credential_id = error.account_id, error.credential_id
        self._send({"id": number, "error": failure})

    def _send(self, message: Mapping[str, object]) -> None:
        if self._transport is None:
            return
        data = msgspec.json.encode(message)
        self._transport.write(len(data).to_bytes(4, "big") + data)
        if self._transport.get_write_buffer_size() > BUFFER_LIMIT:
            self._abort("a peer that does not read")

    def _abort(self, why: str) -> None:
        _log.error("channel cut: %s", why)
        if self._transport is not None:
            self._transport.abort()
