"""An agent for tests of the service: every message under the test's control, on a real socket.

It speaks through our own session layer and sends what the test says, right or wrong. Visitors' streams
arrive as :class:`Taken`, with reader and writer of plain asyncio.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from portway.errors import Error, PortwayError
from portway.net.dial import dial
from portway.pipe import Sink
from portway.session import PORTWAY, Role, Session, Stream, StreamType
from portway.wire.messages import ProxyHeader
from tests.kit.readers import open_reader_writer

PATIENCE = 10.0  # seconds for anything that should come


def code(answer: dict[str, Any]) -> str:
    """Return the number of a refusal's code, which must stand alone on a line of the text."""
    text = str(answer["Error"])
    alone = [line for line in text.splitlines() if line.startswith("ERR_NGROK_")]
    assert len(alone) == 1, f"no refusal with a code: {answer}"
    assert Error.parse(text).code == alone[0]
    return alone[0].removeprefix("ERR_NGROK_")


class Taken:
    """A visitor's stream that has arrived at the agent."""

    def __init__(self, header: ProxyHeader, stream: Stream) -> None:
        """Take it with reader and writer."""
        self.header = header
        self.stream = stream
        self.reader, self.writer, self.sink = open_reader_writer(stream)

    async def read(self, n: int) -> bytes:
        """Read exactly n bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(n)

    async def rest(self) -> bytes:
        """Read to the visitor's end."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    def finish(self, data: bytes = b"") -> None:
        """Write the last bytes and end."""
        self.writer.write(data)
        self.writer.write_eof()


class Agent:
    """One connection of an agent."""

    def __init__(self, port: int, ca: bytes, *, token: str = "good", user_agent: str = "portway/1") -> None:
        """Prepare to connect to a service on this port of loopback."""
        self.port = port
        self.token = token
        self.user_agent = user_agent
        self._context = ssl.create_default_context(cadata=ca.decode())
        self.session: Session | None = None
        self.visitors: asyncio.Queue[Taken] = asyncio.Queue()
        self.requests: asyncio.Queue[tuple[int, dict[str, Any]]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.cause: PortwayError | None = None
        self.client_id = ""
        self.cookie = ""
        self._taken: list[Taken] = []
        self.takes = True
        """Whether visitors are taken; otherwise their streams are reset as by a busy agent."""

    @property
    def live(self) -> Session:
        """The session, which must have been connected."""
        assert self.session is not None
        return self.session

    async def connect(self, *, sni: str = "localhost") -> None:
        """Connect and shake hands."""
        _, session = await dial(
            "127.0.0.1", self.port, lambda: Session(Role.AGENT, self, self._context, server_hostname=sni)
        )
        self.session = session
        self.closed.clear()
        await session.ready()

    async def call(self, kind: int, message: object) -> dict[str, Any]:
        """Send one request, a mapping or raw bytes, and return the answer."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        answer = json.loads(await self.live.call(kind, body, timeout=PATIENCE))
        return cast("dict[str, Any]", answer)

    async def auth(self, *, client_id: str = "", cookie: str = "", **extra: Any) -> dict[str, Any]:
        """Authenticate; remember what a resume needs."""
        given = {"Authtoken": self.token, "UserAgent": self.user_agent, "Cookie": cookie, "OS": "linux"}
        request = {"Version": ["3", "2"], "ClientId": client_id, "Extra": given | extra}
        answer = await self.call(StreamType.AUTH, request)
        if not answer.get("Error"):
            self.live.configure(PORTWAY)
            self.client_id = answer["ClientId"]
            self.cookie = answer["Extra"]["Cookie"]
        return answer

    async def bind(
        self,
        proto: str = "tcp",
        opts: dict[str, Any] | None = None,
        *,
        bind_id: str = "",
        token: str = "",
        forwards_proto: str = "",
        **extra: Any,
    ) -> dict[str, Any]:
        """Ask for an endpoint."""
        request = {
            "Id": bind_id,
            "Proto": proto,
            "ForwardsTo": "test",
            "ForwardsProto": forwards_proto,
            "Opts": {"URL": ""} if opts is None else opts,
            "Extra": {"Token": token, **extra},
        }
        return await self.call(StreamType.BIND, request)

    async def rebind(self, proto: str, first: dict[str, Any], **extra: Any) -> dict[str, Any]:
        """Ask for an endpoint again, as agents do after a reconnect."""
        return await self.bind(
            proto, first["Opts"], bind_id=first["Id"], token=first["Extra"]["Token"], **extra
        )

    async def reconnect(self) -> dict[str, Any]:
        """Connect anew, as the same agent; the old connection is left as it is."""
        self.session = None
        await self.connect()
        return await self.auth(client_id=self.client_id, cookie=self.cookie)

    async def visitor(self) -> Taken:
        """Return the next visitor."""
        async with asyncio.timeout(PATIENCE):
            return await self.visitors.get()

    async def request(self) -> tuple[int, dict[str, Any]]:
        """Return the next request of the service."""
        async with asyncio.timeout(PATIENCE):
            return await self.requests.get()

    async def gone(self) -> None:
        """Wait until the session is over."""
        async with asyncio.timeout(PATIENCE):
            await self.closed.wait()

    async def leave(self) -> None:
        """Say GOAWAY and wait for the end."""
        self.live.close()
        await self._end()

    async def vanish(self) -> None:
        """Close the connection without a word, as a dead process does."""
        self.live.abort(PortwayError("the test's agent vanishes"))
        await self._end()

    async def _end(self) -> None:
        for taken in self._taken:
            taken.writer.close()
        async with asyncio.timeout(PATIENCE):
            await self.live.wait_closed()

    # -- SessionHandler

    def on_ready(self, session: Session, /) -> None:
        """TLS stands."""

    async def on_request(self, session: Session, kind: int, body: bytes, /) -> bytes | None:
        """Remember; StopTunnel has no answer."""
        self.requests.put_nowait((kind, json.loads(body)))
        return None if kind == StreamType.STOP_TUNNEL else b'{"Error":""}'

    def on_proxy(self, session: Session, header: ProxyHeader, stream: Stream, /) -> Sink | None:
        """Take the visitor."""
        if not self.takes:
            stream.abort(9)
            return None
        taken = Taken(header, stream)
        self._taken.append(taken)
        self.visitors.put_nowait(taken)
        return taken.sink

    def on_heartbeat(self, session: Session, latency: float, /) -> None:
        """Fine."""

    def on_closed(self, session: Session, cause: PortwayError | None, /) -> None:
        """Remember why."""
        if session is self.session:
            self.cause = cause
            self.closed.set()
            for taken in self._taken:
                taken.writer.close()


@asynccontextmanager
async def connected_agent(port: int, ca: bytes, *, token: str = "good") -> AsyncGenerator[Agent]:
    """An authenticated agent, for the time of the context."""
    agent = Agent(port, ca, token=token)
    await agent.connect()
    try:
        answer = await agent.auth()
        assert not answer["Error"], answer
        yield agent
    finally:
        if agent.session is not None:
            await agent.leave()
