"""A visitor that speaks HTTP/2 with the library h2, and says exactly what it is told to.

It reads while it waits for something (``until``) and records what came for each stream.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import Frame, GoAwayFrame

from portway.edge.http2 import Http2Visitor
from tests.kit.certs import Certs, make_certs
from tests.kit.http_edge import HOST, AgentStream, Stand
from tests.kit.pipes import PATIENCE
from tests.kit.traffic import parted

Fields = list[tuple[str, str]]


@dataclass
class Answer:
    """What came on one stream."""

    interim: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    fields: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict[str, str])
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        return int(self.fields.get(":status", "0"))


class _Connection(h2.connection.H2Connection):
    """The library's connection, which goes on after a GOAWAY."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> "tuple[list[Frame], list[h2.events.Event]]":
        event = h2.events.ConnectionTerminated()
        event.error_code = frame.error_code  # type: ignore[assignment]
        event.last_stream_id = frame.last_stream_id
        return [], [event]


class Http2Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **settings: int) -> None:
        self.reader = reader
        self.writer = writer
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.conn = _Connection(config)
        values = {h2.settings.SettingCodes[name]: value for name, value in settings.items()}
        self.conn.local_settings = h2.settings.Settings(client=True, initial_values=values)
        self.conn.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.goaway: int | None = None
        self.last: int | None = None
        self.closed = False
        self.reading = True
        """Give credit back for what comes."""
        self.settings = 0
        self.flush()

    def flush(self) -> None:
        """Send what the library has to say."""
        self.writer.write(self.conn.data_to_send())

    def raw(self, data: bytes) -> None:
        """Send bytes past the library."""
        self.flush()
        self.writer.write(data)

    def ask(
        self, path: str = "/", *more: tuple[str, str], method: str = "GET", host: str = HOST, end: bool = True
    ) -> int:
        """Send a request's head; return its stream."""
        stream = self.conn.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *more]
        return self.head(stream, fields, end=end)

    def head(self, stream: int, fields: Fields, *, end: bool = True) -> int:
        """Send any head."""
        self.conn.send_headers(stream, fields, end_stream=end)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    async def put(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a body as windows allow."""
        sent = 0
        while sent < len(data):
            room = min(self.conn.local_flow_control_window(stream), self.conn.max_outbound_frame_size)
            if room <= 0:
                await self.read_some()
                continue
            piece = data[sent : sent + room]
            self.conn.send_data(stream, piece)
            sent += len(piece)
            self.flush()
            await self.writer.drain()
        if end:
            self.conn.end_stream(stream)
            self.flush()

    async def read_some(self) -> None:
        """Read once."""
        async with asyncio.timeout(PATIENCE):
            try:
                data = await self.reader.read(65_536)
            except (ConnectionError, ssl.SSLError):
                data = b""
        if not data:
            self.closed = True
            return
        for event in self.conn.receive_data(data):
            self._note(event)
        self.flush()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Read until a condition holds."""
        while not condition():
            assert not self.closed, f"closed; GOAWAY {self.goaway}"
            await self.read_some()

    async def answer(self, stream: int) -> Answer:
        """Read until the stream has ended, in whatever way."""
        answer = self.answers[stream]
        await self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    async def is_over(self) -> int | None:
        """Read to the end of the connection; return the code of its GOAWAY."""
        while not self.closed:
            await self.read_some()
        return self.goaway

    def _note(self, event: h2.events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0, Answer())
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(_texts(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = _texts(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = _texts(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if self.reading:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code or 0)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway, self.last = int(event.error_code or 0), event.last_stream_id
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings += 1

    async def close(self) -> None:
        """Close, whatever state it is in."""
        await parted(self.writer)


def certs2() -> Certs:
    """Make certificates whose contexts offer HTTP/2 on both sides."""
    certs = make_certs(HOST, "other.example")
    for context in (certs.server, certs.client):
        context.set_alpn_protocols(["h2", "http/1.1"])
    return certs


def visitor2(made: Stand) -> Http2Visitor:
    """Return the newest connection, seen from inside."""
    transport = made.visitor._transport  # pyright: ignore[reportPrivateUsage] - who has it now?
    protocol = transport.get_protocol()
    assert isinstance(protocol, Http2Visitor)
    return protocol


async def visit2(made: Stand, **settings: int) -> Http2Client:
    """Connect to a stand whose certificates offer h2."""
    assert made.certs is not None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", made.port, ssl=made.certs.client, server_hostname=HOST
    )
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    client = Http2Client(reader, writer, **settings)
    made.others.append(client)
    return client


def _texts(fields: object) -> dict[str, str]:
    return dict(fields)  # type: ignore[call-overload]


async def asked(made: Stand, path: str = "/", **how: object) -> tuple[Http2Client, int, AgentStream]:
    """Send a request and see it at the agent."""
    client = await visit2(made)
    stream = client.ask(path, **how)  # type: ignore[arg-type]
    agent = await made.agent.stream(len(made.agent.opened))
    await agent.heads()
    return client, stream, agent
